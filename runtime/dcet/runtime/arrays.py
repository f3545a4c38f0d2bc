"""The arrays and the constants of their shapes that every part of DCET agrees on."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SAMPLE_RATE_HZ = 16_000  # of every audio encoder
WINDOW_SAMPLES = 48_000  # 3 s: what an audio encoder takes at once
HOP_SAMPLES = 512  # 32 ms: in which it is heard whether a voice sounds
FACE_PIXELS = 48  # along a side: the size at which faces are encoded and judged; FER+'s, too
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601


def whole_hops(samples: int) -> int:
    """Return the least number of samples that holds these in whole hops."""
    return -(-samples // HOP_SAMPLES) * HOP_SAMPLES
