"""Sounds without speech that are made, 3 s at 16 kHz each."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.synthetic.noise import PINK, WHITE, coloured_noise

SECONDS = 3.0
COUNT = round(SECONDS * SAMPLE_RATE_HZ)
MAINS_HZ = 50.0
MUSIC_DBFS = HUM_DBFS = -24.0  # drums that are louder would clip
CHORDS_HZ = ((220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7))  # a, F, G
BEAT_S = 0.5
TIME_S = np.arange(COUNT) / SAMPLE_RATE_HZ

Wave = NDArray[np.float64]


def _noise(exponent: float, dbfs: float) -> Callable[[Generator], Wave]:
    return lambda rng: _at(dbfs, coloured_noise(COUNT, rng, exponent))


def _silence(rng: Generator) -> Wave:
    return np.zeros(COUNT)


def _hum(rng: Generator) -> Wave:
    """The mains, with its odd harmonics and a little hiss."""
    phases = rng.uniform(0, 2 * np.pi, 6)
    tones = [
        np.sin(2 * np.pi * MAINS_HZ * (2 * n + 1) * TIME_S + phase) / (2 * n + 1)
        for n, phase in enumerate(phases)
    ]
    return _at(HUM_DBFS, np.sum(tones, axis=0) + rng.normal(0, 0.003, COUNT))


def _chords(rng: Generator) -> Wave:
    """Chords of plucked strings, one a second, in any key."""
    key = 2 ** (rng.integers(-5, 6) / 12)
    wave = np.zeros(COUNT)
    for number, chord in enumerate(CHORDS_HZ):
        since_s = TIME_S - number
        decay = np.where(since_s >= 0, np.exp(-2.5 * np.maximum(since_s, 0)), 0)
        for hz in chord:
            for harmonic in range(1, 7):
                wave += decay * np.sin(2 * np.pi * key * hz * harmonic * TIME_S) / harmonic**1.5
    return _at(MUSIC_DBFS, wave)


def _drums(rng: Generator) -> Wave:
    """A bass drum on the beat, a snare on every second one, a hi-hat twice a beat."""
    beat_s, half_s = TIME_S % BEAT_S, TIME_S % (BEAT_S / 2)
    bass = np.exp(-18 * beat_s) * np.sin(2 * np.pi * (45 + 90 * np.exp(-30 * beat_s)) * beat_s)
    snare_s = (TIME_S - BEAT_S) % (2 * BEAT_S)
    hiss = rng.standard_normal(COUNT)
    snare = 0.5 * np.exp(-22 * snare_s) * hiss
    hat = 0.15 * np.exp(-60 * half_s) * np.diff(hiss, prepend=0.0)
    return _at(MUSIC_DBFS, bass + snare + hat)


def _band(rng: Generator) -> Wave:
    return _at(MUSIC_DBFS, _chords(rng) + _drums(rng))


def _at(dbfs: float, wave: Wave) -> Wave:
    """Give a wave a level, the root mean square against full scale, without clipping it."""
    scaled = wave * 10 ** (dbfs / 20) / np.sqrt(np.square(wave).mean())
    loud: Wave = scaled / max(1.0, float(np.abs(scaled).max()))
    return loud


MADE: Mapping[str, Callable[[Generator], Wave]] = {
    "white noise, -60 dBFS": _noise(WHITE, -60),
    "white noise, -20 dBFS": _noise(WHITE, -20),
    "pink noise, -60 dBFS": _noise(PINK, -60),
    "pink noise, -20 dBFS": _noise(PINK, -20),
    "digital silence": _silence,
    "hum of the mains": _hum,
    "chords": _chords,
    "drums": _drums,
    "chords and drums": _band,
}
