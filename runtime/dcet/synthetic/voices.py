"""Synthesised speech: a small formant synthesiser that follows spelling, not English phonetics.

A source, glottal pulses and breath, goes through the resonances of a vocal tract (Klatt, JASA
1980), here as products of spectra, 5 ms after 5 ms. Vowels are those of Peterson & Barney (JASA
1952). What an emotion does to a voice follows Murray & Arnott (JASA 1993) and Burkhardt &
Sendlmeier (ISCA Workshop on Speech and Emotion, 2000). It is a caricature and proves nothing about
real voices.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ

HOP = 80  # samples: 5 ms
WINDOW = 4 * HOP
N_FFT = 1024  # a window, and as long again for what rings on
HOPS_PER_S = SAMPLE_RATE_HZ // HOP
BANDWIDTHS_HZ = (70.0, 100.0, 140.0, 220.0, 300.0, 350.0, 400.0)
HIGH_FORMANTS_HZ = (3500.0, 4500.0, 5500.0, 6500.0)  # of an even tube; vowels differ in the first 3
OPEN_SHARE = 0.6  # of a period, in which the glottis is open
HISS = 0.8  # relative to voiced sounds
PEAK = 0.2  # share of full scale of speech without effort

Track = NDArray[np.float64]  # (hops,) or (samples,)
Response = NDArray[np.complex64]  # (hops, bins)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """The properties of a voice that stay the same."""

    pitch_hz: float
    formants: float  # relative to the average man's: the shorter the throat, the higher


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """The change of a voice under an emotion."""

    pitch: float = 1.0  # times the voice's own
    range: float = 1.0  # how far the pitch moves
    rise: float = 0.0  # semitones from beginning to end of a phrase
    tempo: float = 1.0
    loudness_db: float = 0.0
    tilt_db: float = 0.0  # of an octave above 500 Hz: above 0 tense and sharp, below 0 soft
    breath: float = 0.05  # relative to what is voiced
    tremble: float = 0.0  # semitones, 7 times a second


MANNERS = {
    "anger": Manner(pitch=1.3, range=1.6, tempo=1.1, loudness_db=12, tilt_db=3, breath=0.03),
    "disgust": Manner(
        pitch=0.85, range=1.1, rise=-3, tempo=0.8, loudness_db=-2, tilt_db=-2, breath=0.12
    ),
    "fear": Manner(pitch=1.5, range=0.7, tempo=1.4, loudness_db=3, breath=0.2, tremble=0.8),
    "joy": Manner(pitch=1.4, range=2.2, rise=2, tempo=1.1, loudness_db=6, tilt_db=1),
    "neutral": Manner(range=0.7, tilt_db=-1.5),
    "sadness": Manner(
        pitch=0.95, range=0.4, rise=-2, tempo=0.7, loudness_db=-9, tilt_db=-4, breath=0.2
    ),
    "surprise": Manner(pitch=1.5, range=2.2, rise=6, loudness_db=6, tilt_db=0.5),
}


@dataclass(frozen=True, slots=True)
class Sound:
    """A speech sound: a position of the mouth, held for a while."""

    ms: float
    formants_hz: tuple[float, float, float] = (500, 1500, 2500)  # at rest
    voiced: float = 0.0
    hiss: float = 0.0
    hiss_hz: float = 5000.0  # where it is loudest
    is_vowel: bool = False


def _vowel(*formants_hz: float, ms: float = 95) -> list[Sound]:
    first, second, third = formants_hz
    return [Sound(ms, (first, second, third), voiced=1.0, is_vowel=True)]


def _stop(hiss_hz: float, voiced: float) -> list[Sound]:
    """Return a stop: closed lips or tongue, and the burst when they open."""
    return [
        Sound(35, (250, 1400, 2400), voiced),
        Sound(18, hiss=0.5, hiss_hz=hiss_hz, voiced=voiced),
    ]


SOUNDS: dict[str, list[Sound]] = {
    "a": _vowel(730, 1090, 2440),
    "e": _vowel(530, 1840, 2480),
    "i": _vowel(390, 1990, 2550),
    "o": _vowel(570, 840, 2410),
    "u": _vowel(640, 1190, 2390),
    "y": _vowel(270, 2290, 3010),
    "ee": _vowel(270, 2290, 3010, ms=110),
    "ea": _vowel(270, 2290, 3010, ms=110),
    "oo": _vowel(300, 870, 2240, ms=110),
    "ou": _vowel(730, 1090, 2440, ms=70) + _vowel(300, 870, 2240, ms=60),
    "ai": _vowel(530, 1840, 2480, ms=70) + _vowel(270, 2290, 3010, ms=60),
    "m": [Sound(65, (250, 1000, 2200), 0.5)],
    "n": [Sound(60, (250, 1500, 2500), 0.5)],
    "ng": [Sound(75, (250, 1900, 2500), 0.5)],
    "l": [Sound(60, (350, 1050, 2700), 0.6)],
    "r": [Sound(60, (330, 1150, 1550), 0.6)],
    "w": [Sound(60, (300, 700, 2200), 0.6)],
    "h": [Sound(55, hiss=0.2, hiss_hz=1500)],
    "f": [Sound(80, hiss=0.2, hiss_hz=5500)],
    "v": [Sound(60, (250, 1100, 2300), 0.4, hiss=0.1, hiss_hz=5500)],
    "th": [Sound(60, (300, 1400, 2500), 0.4, hiss=0.1)],
    "s": [Sound(85, hiss=0.5, hiss_hz=6300)],
    "z": [Sound(70, (250, 1500, 2500), 0.35, hiss=0.3, hiss_hz=6300)],
    "sh": [Sound(90, hiss=0.5, hiss_hz=3300)],
    "p": _stop(1200, 0.0),
    "t": _stop(5000, 0.0),
    "k": _stop(2200, 0.0),
    "b": _stop(1200, 0.3),
    "d": _stop(5000, 0.3),
    "g": _stop(2200, 0.3),
    " ": [Sound(20, voiced=0.4)],
    ",": [Sound(180)],
    ".": [Sound(260)],
}
SOUNDS |= {"c": SOUNDS["k"], "q": SOUNDS["k"], "x": SOUNDS["k"] + SOUNDS["s"]}
SOUNDS |= {"j": SOUNDS["d"] + SOUNDS["sh"], "ch": SOUNDS["t"] + SOUNDS["sh"]}
SOUNDS |= {"!": SOUNDS["."], "?": SOUNDS["."]}
SILENT_E = re.compile(r"(?<=[aeiouy][bcdfgklmnprstvz])e\b")
SPELLED = re.compile(r"ee|ea|oo|ou|ai|ng|th|sh|ch|[a-z]|[ ,.!?]")


def speak(text: str, emotion: str, voice: Voice, rng: np.random.Generator) -> NDArray[np.float32]:
    """Synthesise `text` in the manner of an emotion: PCM at 16 kHz in [-1, 1], shape (n,)."""
    manner = MANNERS[emotion]
    phrases = [p for p in re.split(r"(?<=[,.!?])\s+", text.lower()) if re.search("[a-z]", p)]
    pcm = np.concatenate([_phrase(phrase, manner, voice, rng) for phrase in phrases])
    loudest = PEAK * 10 ** (manner.loudness_db / 20)
    scaled: NDArray[np.float32] = (pcm / np.abs(pcm).max() * loudest).astype(np.float32)
    return scaled


def _phrase(text: str, manner: Manner, voice: Voice, rng: np.random.Generator) -> Track:
    spoken = list(_articulate(text))
    hops = [max(1, round(s.ms * stress / 1000 / manner.tempo * HOPS_PER_S)) for s, stress in spoken]

    def track(values: list[float], smooth: int) -> Track:
        return _smoothed(np.repeat(np.array(values), hops), smooth)

    voiced = track([sound.voiced for sound, _ in spoken], 9)
    hiss = track([sound.hiss for sound, _ in spoken], 5)
    hiss_hz = track([sound.hiss_hz for sound, _ in spoken], 5)
    formants_hz = np.stack(
        [track([sound.formants_hz[i] for sound, _ in spoken], 11) for i in range(3)]
    )
    high_hz = np.repeat(np.array(HIGH_FORMANTS_HZ)[:, None], sum(hops), axis=1)
    formants_hz = np.vstack([formants_hz, high_hz])
    accent = track([stress - 1 for _, stress in spoken], 25) / 0.4
    pitch_hz = voice.pitch_hz * manner.pitch * 2 ** (_melody(text, accent, manner, rng) / 12)
    glottal, noise = _source(pitch_hz, rng)
    at = np.arange(len(glottal)) / HOP
    loud = np.interp(
        at,
        np.arange(len(voiced)),
        voiced * (0.6 + 0.5 * accent) * np.linspace(1.1, 0.7, len(voiced)),
    )
    # Breath comes in puffs, with the air.
    breathed = glottal + manner.breath * noise * (0.4 + np.abs(glottal))
    tract = _tract(formants_hz * voice.formants, manner.tilt_db)
    hissing = noise * np.interp(at, np.arange(len(hiss)), hiss)
    return _filtered(loud * breathed, tract) + HISS * _filtered(hissing, _constriction(hiss_hz))


def _articulate(text: str) -> Iterator[tuple[Sound, float]]:
    """Yield the sounds of a phrase and how much each is stressed; words of three letters or more
    have a stress, on their first vowel."""
    for word in re.findall(r"[a-z']+|[^a-z']", text):
        is_stressed = len(word) > 2
        for letters in SPELLED.findall(SILENT_E.sub("", word)):
            for sound in SOUNDS[letters]:
                stress = 1.4 if sound.is_vowel and is_stressed else 1.0
                is_stressed = is_stressed and not sound.is_vowel
                yield sound, stress


def _melody(text: str, accent: Track, manner: Manner, rng: np.random.Generator) -> Track:
    """Return semitones above the voice's usual pitch, hop by hop."""
    count = len(accent)
    passed = np.linspace(0, 1, count)
    lively = 2.5 * accent + 1.2 - 2.5 * passed
    if text.endswith("?"):
        lively = lively + 5 * np.clip(passed - 0.75, 0, None) * 4
    wander = _smoothed(rng.standard_normal(count), 40) * 4
    tremble = manner.tremble * np.sin(2 * np.pi * 7 * np.arange(count) / HOPS_PER_S)
    jitter = 0.12 * rng.standard_normal(count)
    return manner.range * (lively + wander) + manner.rise * (passed - 0.3) + tremble + jitter


def _source(pitch_hz: Track, rng: np.random.Generator) -> tuple[Track, Track]:
    """Return the change of the flow through the glottis (Rosenberg, JASA 1971), and noise."""
    at = np.arange(len(pitch_hz) * HOP) / HOP
    turns = np.cumsum(np.interp(at, np.arange(len(pitch_hz)), pitch_hz)) / SAMPLE_RATE_HZ % 1
    rising, closing = 0.7 * OPEN_SHARE, 0.3 * OPEN_SHARE
    flow = np.where(
        turns < rising,
        0.5 - 0.5 * np.cos(np.pi * turns / rising),
        np.cos(0.5 * np.pi * np.clip((turns - rising) / closing, 0, 1)),
    )
    return np.diff(flow, prepend=0.0) * 10, rng.standard_normal(len(turns)) * 0.3


def _tract(formants_hz: Track, tilt_db: float) -> Response:
    """Return the response of resonators in series, (7, hops) -> (hops, bins)."""
    frequency = np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE_HZ)
    tilt = 10 ** (tilt_db / 20 * np.log2(np.maximum(frequency, 500) / 500))
    # Each is centre² / (centre² − frequency² + i · frequency · bandwidth); divided once.
    divisor: Response = np.ones((formants_hz.shape[1], len(frequency)), np.complex64)
    for centre_hz, bandwidth_hz in zip(formants_hz[..., None], BANDWIDTHS_HZ, strict=True):
        share = (frequency / centre_hz).astype(np.float32)
        width = (bandwidth_hz / centre_hz).astype(np.float32)
        divisor *= 1 - np.square(share) + np.complex64(1j) * (share * width)
    response: Response = np.divide(tilt.astype(np.float32), divisor, out=divisor)
    return response


def _constriction(centre_hz: Track) -> Response:
    """Return the spectrum of hiss at a narrow place in the mouth, (hops,) -> (hops, bins)."""
    frequency = np.maximum(np.fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE_HZ), 50)
    octaves = (np.log2(frequency) - np.log2(centre_hz)[:, None]).astype(np.float32)
    response: Response = np.exp(-np.square(octaves / 0.5)).astype(np.complex64)
    return response


def _filtered(source: Track, response: Response) -> Track:
    """Filter source (samples,) by a response that changes with every hop; overlap and add."""
    padded = np.pad(source, (WINDOW // 2, WINDOW // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: len(source) : HOP]
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32) * np.float32(2 * HOP / WINDOW)
    pieces = np.fft.irfft(np.fft.rfft(frames.astype(np.float32) * window, N_FFT) * response)
    out = np.zeros(len(source) + N_FFT)
    for start, piece in zip(range(0, len(source), HOP), pieces, strict=True):
        out[start : start + N_FFT] += piece
    return out[WINDOW // 2 : WINDOW // 2 + len(source)]


def _smoothed(values: Track, hops: int) -> Track:
    """Average over as many hops; beyond the ends, the end values go on."""
    kernel = np.hanning(hops + 2)[1:-1]
    padded = np.pad(values, (hops // 2, hops - 1 - hops // 2), mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")
