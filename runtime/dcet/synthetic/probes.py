"""Probe signals: cheap sounds like speech and pictures like faces, of any length and size.

They have what encoders and quality measures respond to, pitch, formants, syllables and pauses, or
eyes and a mouth in uneven light, and nothing more. Golden sequences, benchmarks and tests use them.
"""

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES

HARMONICS = 24
FORMANTS_HZ = ((300, 900), (900, 2200), (2200, 3200))  # ranges of the first three in vowels
FORMANT_WIDTH_HZ = 150
NOISE_RMS = 0.002
PEAK = 0.4  # of full scale


def speech(
    seconds: float, *, seed: int = 0, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> NDArray[np.float32]:
    """Make (n,) samples of voiced syllables with pauses, over a little noise; peaks reach 0.4."""
    rng = np.random.default_rng(seed)
    voiced = _voiced(round(seconds * sample_rate_hz), rng, sample_rate_hz)
    voiced *= PEAK / np.abs(voiced).max()
    return (voiced + rng.normal(0, NOISE_RMS, len(voiced))).astype(np.float32)


def speech_windows(windows: int, seed: int) -> NDArray[np.float32]:
    """Make (windows, 48000) samples at 16 kHz: a speaker, a loudness and a length for each window,
    with digital silence behind."""
    rng = np.random.default_rng(seed)
    sounds = np.zeros((windows, WINDOW_SAMPLES), np.float32)
    for sound in sounds:
        voiced = _voiced(WINDOW_SAMPLES, rng, SAMPLE_RATE_HZ)
        voiced *= rng.uniform(0.05, 0.5) / np.abs(voiced).max()
        end = int(rng.uniform(0.4, 1.0) * WINDOW_SAMPLES)
        sound[:end] = (voiced + rng.normal(0, NOISE_RMS, WINDOW_SAMPLES))[:end]
    return sounds


def _voiced(count: int, rng: np.random.Generator, sample_rate_hz: int) -> NDArray[np.float64]:
    """Return harmonics of a gliding pitch under three formants, in syllables."""
    time_s = np.arange(count) / sample_rate_hz
    glide = 1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.3, 1.0) * time_s)
    pitch_hz = rng.uniform(90, 220) * glide
    phase = 2 * np.pi * np.cumsum(pitch_hz) / sample_rate_hz
    formants_hz = [rng.uniform(*band) for band in FORMANTS_HZ]
    voiced = np.zeros(count)
    below_nyquist = int(sample_rate_hz / 2 / pitch_hz.max())
    for number in range(1, min(HARMONICS, below_nyquist) + 1):
        away = (number * pitch_hz.mean() - np.array(formants_hz)) / FORMANT_WIDTH_HZ
        voiced += (1 / (1 + away**2)).sum() / number * np.sin(number * phase)
    voiced *= np.sin(2 * np.pi * rng.uniform(3, 5) * time_s).clip(0, 1)
    return voiced


def faces(count: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Make (count, height, width, 3) RGB of bright ovals with eyes and a mouth in uneven light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]

    def blob(down: float, right: float, tall: float, wide: float) -> NDArray[np.float64]:
        down, right = down + rng.normal(0, 0.1), right + rng.normal(0, 0.1)
        return np.asarray(np.exp(-(((y - down) / tall) ** 2) - ((x - right) / wide) ** 2))

    pictures = []
    for _ in range(count):
        light = 0.3 + 0.3 * (rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y)
        head = blob(0, 0, rng.uniform(0.7, 0.9), rng.uniform(0.5, 0.7))
        open_by = rng.uniform(0.05, 0.2)
        eyes = blob(-0.25, -0.3, open_by, 0.15) + blob(-0.25, 0.3, open_by, 0.15)
        mouth = blob(0.45, 0, rng.uniform(0.05, 0.15), rng.uniform(0.2, 0.4))
        shade = light + 0.6 * head - 0.4 * eyes - 0.3 * mouth
        pictures.append(shade[..., None] * rng.uniform((0.8, 0.6, 0.5), (1.0, 0.9, 0.8)) * 255)
    return np.stack(pictures).clip(0, 255).astype(np.uint8)
