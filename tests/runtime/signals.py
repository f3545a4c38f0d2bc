"""A test pattern: a sharp picture of any size."""

import numpy as np
from numpy.typing import NDArray


def face(side: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """Make (side, side, 3) RGB of 8 × 8 tiles in random colours, which has edges everywhere."""
    coarse = np.random.default_rng(seed).integers(40, 216, (8, 8, 3), dtype=np.uint8)
    return coarse.repeat(-(-side // 8), axis=0).repeat(-(-side // 8), axis=1)[:side, :side]
