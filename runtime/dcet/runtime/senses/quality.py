"""Measures the quality of audio and faces, from 0, useless, to 1, for the fusion.

The same measures are taken in training, so that the fusion learns what they are worth.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 320  # samples: 20 ms at 16 kHz
GOOD_SNR_DB = 25.0  # where noise stops to matter
SHARP = 60.0  # mean square of the Laplacian of a sharp face, contrast taken out
DARK = 30.0  # mean grey, of 255, below which a picture counts as dark


def snr_db(pcm: NDArray[np.float32]) -> float:
    """Estimate the signal-to-noise ratio of speech, (n,) samples at 16 kHz.

    The power of its loud blocks is compared with that of its quiet ones.

    Speech pauses: a block of 20 ms in ten is hardly more than the noise (minimum statistics, as in
    Martin, IEEE TSAP 2001). Digital silence, as padding and gates make it, is not counted as noise.
    """
    blocks = pcm[: len(pcm) // BLOCK * BLOCK].reshape(-1, BLOCK)
    power = np.square(blocks, dtype=np.float64).mean(axis=1)
    power = power[power > power.max(initial=0) * 1e-7]
    if len(power) == 0:
        return 0.0
    quiet, mean = float(np.quantile(power, 0.1)), float(power.mean())
    return float(10 * np.log10(max(mean - quiet, 1e-4 * mean) / quiet))


def audio_quality(snr_db: float) -> float:
    """Return the quality of audio: from 0 at 0 dB to 1 at 25 dB."""
    return float(np.clip(snr_db / GOOD_SNR_DB, 0.0, 1.0))


def face_quality(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure sharpness times exposure of (n, h, w) grey in [0, 255], of about 48 pixels: (n,).

    Sharpness is the mean square of the Laplacian (Pech-Pacheco et al., ICPR 2000).
    """
    mean = grey.mean(axis=(1, 2))
    spread = grey.std(axis=(1, 2)) + 4.0
    inner = grey[:, 1:-1, 1:-1]
    laplacian = (
        grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    ) / spread[:, None, None]
    sharpness = np.square(laplacian).mean(axis=(1, 2)) * 100 / SHARP
    quality: NDArray[np.float32] = np.clip(sharpness, 0, 1) * np.clip(mean / DARK, 0, 1)
    return quality.astype(np.float32)
