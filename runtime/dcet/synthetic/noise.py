"""Noise of any colour."""

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ

WHITE, PINK = 0.0, 0.5  # exponents: the power is constant, or falls as 1/f
ROOM, ROOM_FLAT_BELOW_HZ = 0.8, 60.0  # some 5 dB an octave, as of traffic and of many voices


def coloured_noise(
    samples: int, rng: np.random.Generator, exponent: float, flat_below_hz: float = 0.0
) -> NDArray[np.float64]:
    """Draw noise at 16 kHz whose amplitude falls as f^-exponent.

    flat_below_hz: below this frequency the amplitude grows no more
    returns        (samples,), of no particular level
    """
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    lowest_hz = max(flat_below_hz, SAMPLE_RATE_HZ / samples)  # at 0 Hz a falling one has no value
    noise: NDArray[np.float64] = np.fft.irfft(
        spectrum * np.maximum(frequency_hz, lowest_hz) ** -exponent, samples
    )
    return noise


def room_noise(samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the background noise of a room, (samples,) of standard deviation 1."""
    noise = coloured_noise(samples, rng, ROOM, ROOM_FLAT_BELOW_HZ)
    unit: NDArray[np.float64] = noise / noise.std()
    return unit
