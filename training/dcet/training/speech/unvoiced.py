"""Synthetic sounds without a voice: music, drums, tones, hums, clicks and noise that beats."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.synthetic.noise import coloured_noise

PERIOD = 2048  # steps in the table of a note

Samples = NDArray[np.float64]
Maker = Callable[[int, np.random.Generator], Samples]


def draw_unvoiced(samples: int, rng: np.random.Generator) -> Floats:
    """Draw one of these sounds, or two over each other, (samples,) with a peak of 1."""
    sound = MAKERS[rng.integers(len(MAKERS))](samples, rng)
    if rng.random() < 0.3:
        other = MAKERS[rng.integers(len(MAKERS))](samples, rng)
        sound = _unit(sound) + rng.uniform(0.1, 1) * _unit(other)
    return _unit(sound).astype(np.float32)


def _notes(samples: int, rng: np.random.Generator) -> Samples:
    """Chords or a melody of plucked, blown or bowed notes."""
    out = np.zeros(samples)
    beat = int(rng.uniform(0.12, 0.9) * SAMPLE_RATE_HZ)
    voices, root = int(rng.integers(1, 5)), rng.uniform(80, 350)
    harmonics, tilt = int(rng.integers(1, 14)), rng.uniform(0.6, 2)
    decay_s, attack_s = rng.uniform(0.1, 3), rng.uniform(0.002, 0.15)
    vibrato, vibrato_hz = rng.uniform(0, 0.01) * (rng.random() < 0.5), rng.uniform(4, 7)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 19, 24])
    for start in range(int(rng.integers(beat)), samples, beat):
        if rng.random() < 0.15:
            continue
        t = np.arange(min(samples - start, int(rng.uniform(1, 3) * beat))) / SAMPLE_RATE_HZ
        shape = np.minimum(t / attack_s, 1) * np.exp(-t / decay_s)
        shape[-64:] *= np.linspace(1, 0, len(shape[-64:]))
        bend = t + vibrato / vibrato_hz * np.sin(2 * np.pi * vibrato_hz * t)
        for semitones in rng.choice(scale, voices, replace=False):
            hz = root * 2 ** (semitones / 12)
            period = _period(min(harmonics, int(SAMPLE_RATE_HZ / 2 / hz)), tilt, rng)
            out[start : start + len(t)] += shape * period[(hz * bend * PERIOD).astype(int) % PERIOD]
    return out


def _period(harmonics: int, tilt: float, rng: np.random.Generator) -> Samples:
    """One period of a note."""
    numbers = np.arange(1, harmonics + 1)[:, None]
    phases = 2 * np.pi * (numbers * np.arange(PERIOD) / PERIOD + rng.random(numbers.shape))
    period: Samples = (np.sin(phases) / numbers**tilt).sum(axis=0)
    return period


def _drums(samples: int, rng: np.random.Generator) -> Samples:
    """Kicks, snares and hats on a beat."""
    out = np.zeros(samples)
    beat = int(rng.uniform(0.1, 0.35) * SAMPLE_RATE_HZ)
    for number, start in enumerate(range(0, samples, beat)):
        t = np.arange(min(samples - start, SAMPLE_RATE_HZ // 3)) / SAMPLE_RATE_HZ
        part = out[start : start + len(t)]
        noise = rng.standard_normal(len(t))
        if number % 4 == 0:
            part += 2 * np.sin(2 * np.pi * (50 * t + 3 * (1 - np.exp(-t * 30)))) * np.exp(-t * 15)
        if number % 4 == 2:
            part += (noise + np.sin(2 * np.pi * 190 * t)) * np.exp(-t * rng.uniform(12, 30))
        if rng.random() < 0.8:
            part += 0.5 * np.diff(noise, prepend=0) * np.exp(-t * rng.uniform(30, 90))
    return out


def _tones(samples: int, rng: np.random.Generator) -> Samples:
    """A tone that stays, sweeps, or comes and goes, as alarms and dial tones do."""
    t = np.arange(samples) / SAMPLE_RATE_HZ
    low, high = np.sort(rng.uniform(60, 6000, 2))
    swept = low + (high - low) * (0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(0, 3) * t))
    hz = np.full(samples, low) if rng.random() < 0.6 else swept
    tone = np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE_HZ)
    if rng.random() < 0.3:
        tone = np.sign(tone)
    return tone * _gate(samples, rng)


def _hum(samples: int, rng: np.random.Generator) -> Samples:
    """Mains or an engine: steady harmonics under noise."""
    t = np.arange(samples) / SAMPLE_RATE_HZ
    hz = rng.choice([50.0, 60.0, rng.uniform(25, 200)])
    numbers = np.arange(1, 25)[:, None]
    strength = rng.random(numbers.shape) / numbers ** rng.uniform(0.5, 2)
    hum: Samples = (strength * np.sin(2 * np.pi * hz * numbers * t)).sum(axis=0)
    return _unit(hum) + rng.uniform(0, 0.3) * _unit(_noise(samples, rng))


def _clicks(samples: int, rng: np.random.Generator) -> Samples:
    """Taps, keys and crackle."""
    out = np.zeros(samples)
    ring_hz, decay = rng.uniform(200, 5000), rng.uniform(40, 600)
    t = np.arange(SAMPLE_RATE_HZ // 10) / SAMPLE_RATE_HZ
    for start in rng.integers(0, samples, int(rng.integers(1, 60))):
        click = (rng.standard_normal(len(t)) + np.sin(2 * np.pi * ring_hz * t)) * np.exp(-t * decay)
        part = out[start : start + len(t)]
        part += rng.uniform(0.2, 1) * click[: len(part)]
    return out


def _noise(samples: int, rng: np.random.Generator) -> Samples:
    """Noise of any colour, or of a band."""
    noise = coloured_noise(samples, rng, rng.uniform(-0.3, 1.2), rng.uniform(0, 200))
    if rng.random() < 0.3:
        spectrum = np.fft.rfft(noise)
        hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
        middle, width = rng.uniform(100, 6000), rng.uniform(50, 2000)
        noise = np.fft.irfft(spectrum * np.exp(-(((hz - middle) / width) ** 2)), samples)
    return noise


def _beating(samples: int, rng: np.random.Generator) -> Samples:
    """Noise that grows and fades as often as syllables do."""
    t = np.arange(samples) / SAMPLE_RATE_HZ
    beats = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(0.3, 8) * t + rng.random()))
    return (
        _noise(samples, rng)
        * (beats ** rng.uniform(0.5, 4) if rng.random() < 0.5 else 1.0)
        * (_gate(samples, rng))
    )


def _gate(samples: int, rng: np.random.Generator) -> Samples:
    """Return 1 throughout, or 1 and 0 by turns."""
    if rng.random() < 0.5:
        return np.ones(samples)
    t = np.arange(samples) / SAMPLE_RATE_HZ
    on = (rng.uniform(0.5, 6) * t + rng.random()) % 1 < rng.uniform(0.2, 0.8)
    return np.convolve(on, np.ones(80) / 80, mode="same")


def _unit(sound: Samples) -> Samples:
    return sound / max(float(np.abs(sound).max()), 1e-6)


MAKERS: tuple[Maker, ...] = (_notes, _notes, _drums, _tones, _hum, _clicks, _noise, _beating)
