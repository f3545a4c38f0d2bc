"""Sound and pictures that are made up."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def speech(seconds: float, rate: int = 16_000, seed: int = 0) -> NDArray[np.float32]:
    """(n,) noise in syllables, four a second with a pause after each, peaks below 0.5."""
    count = round(seconds * rate)
    syllables = np.sin(np.pi * 4 * np.arange(count) / rate).clip(0) ** 2
    noise = np.random.default_rng(seed).uniform(-0.4, 0.4, count)
    return (noise * (syllables + 0.001)).astype(np.float32)


def face(side: int = 64, seed: int = 0) -> NDArray[Any]:
    """(side, side, 3) uint8: something with edges and colours."""
    coarse = np.random.default_rng(seed).integers(40, 216, (8, 8, 3), dtype=np.uint8)
    return coarse.repeat(-(-side // 8), axis=0).repeat(-(-side // 8), axis=1)[:side, :side]
