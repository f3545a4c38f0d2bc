"""Examples: voices in rooms, behind noise, at any level, or sounds without a voice."""

import numpy as np

from dcet.runtime.arrays import HOP_SAMPLES, SAMPLE_RATE_HZ, Floats
from dcet.synthetic.noise import PINK, WHITE, coloured_noise
from dcet.training.speech.recordings import Recordings, Sound

WITHOUT_VOICE = 0.4  # of the examples
CORPUS_WEIGHTS = (0.35, 0.3, 0.2, 0.15)  # of meetings, acted speech, bursts and synthetic voices
LEAST_SNR_DB, SNR_RANGE_DB = -5.0, 35.0
GAIN_DB = (-40.0, 0.0)


def draw(recordings: Recordings, hops: int, rng: np.random.Generator) -> Sound:
    """Mix one example of so many hops."""
    samples = hops * HOP_SAMPLES
    if rng.random() < WITHOUT_VOICE:
        pcm, voice = np.zeros(samples, np.float32), np.zeros(hops, np.float32)
        if rng.random() < 0.95:  # else silence
            pcm = draw_noise(recordings, samples, rng)
    else:
        pcm, voice = _voices(recordings, hops, rng)
        power = float(np.square(pcm[pcm != 0]).mean()) if pcm.any() else 0.0
        if rng.random() < 0.4:
            pcm = _in_room(pcm, recordings.rooms[int(rng.integers(len(recordings.rooms)))])
        if rng.random() < 0.8:
            noise = draw_noise(recordings, samples, rng)
            scale = power / max(float(np.square(noise).mean()), 1e-12)
            snr_db = LEAST_SNR_DB + SNR_RANGE_DB * rng.random() ** 1.5  # most of it is low
            pcm = pcm + noise * np.float32(np.sqrt(scale * 10 ** (-snr_db / 10)))
    if rng.random() < 0.4:
        pcm = _coloured(pcm, rng)
    if rng.random() < 0.15:  # a gate, or a line that drops out
        start, stop = np.sort(rng.integers(0, hops + 1, 2))
        pcm[start * HOP_SAMPLES : stop * HOP_SAMPLES] = 0
        voice[start:stop] = 0
    peak = float(np.abs(pcm).max())
    pcm = pcm * np.float32(10 ** (rng.uniform(*GAIN_DB) / 20) / max(peak, 1e-6))
    if rng.random() < 0.08:
        pcm = (pcm * np.float32(rng.uniform(1.5, 10))).clip(-1, 1)
    if rng.random() < 0.05:
        pcm = pcm + np.float32(rng.uniform(-0.1, 0.1))
    return Sound(pcm.astype(np.float32), voice)


def draw_noise(recordings: Recordings, samples: int, rng: np.random.Generator) -> Floats:
    """Draw a sound without a voice, recorded or made, (samples,)."""
    kind = rng.random()
    if kind < 0.25:
        return coloured_noise(samples, rng, rng.uniform(WHITE, PINK)).astype(np.float32)
    noises = recordings.made if kind < 0.6 else recordings.noises
    noise = noises[int(rng.integers(len(noises)))]
    start = int(rng.integers(len(noise)))
    return np.resize(np.roll(noise, -start), samples)


def _voices(recordings: Recordings, hops: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Lay voices one behind the other, with gaps of silence."""
    pcm, voice = np.zeros(hops * HOP_SAMPLES, np.float32), np.zeros(hops, np.float32)
    at = int(rng.integers(0, hops // 3))
    while at < hops:
        corpus = recordings.voices[rng.choice(len(CORPUS_WEIGHTS), p=CORPUS_WEIGHTS)]
        sound = corpus[int(rng.integers(len(corpus)))]
        first = int(rng.integers(max(1, len(sound.voice) - hops + 1)))
        count = min(hops - at, len(sound.voice) - first)
        part = sound.pcm[first * HOP_SAMPLES : (first + count) * HOP_SAMPLES]
        gain = 10 ** (rng.uniform(-6, 6) / 20) / max(float(np.abs(part).max()), 1e-4)
        pcm[at * HOP_SAMPLES : (at + count) * HOP_SAMPLES] = part * np.float32(gain)
        voice[at : at + count] = sound.voice[first : first + count]
        at += count + int(rng.exponential(hops / 4))
    return pcm, voice


def _in_room(pcm: Floats, response: Floats) -> Floats:
    size = 1 << (len(pcm) + len(response)).bit_length()  # of which a DFT is quick
    wet = np.fft.irfft(np.fft.rfft(pcm, size) * np.fft.rfft(response, size), size)
    return wet[: len(pcm)].astype(np.float32)


def _coloured(pcm: Floats, rng: np.random.Generator) -> Floats:
    """Filter as microphones, walls and telephones do."""
    spectrum = np.fft.rfft(pcm)
    hz = np.fft.rfftfreq(len(pcm), 1 / SAMPLE_RATE_HZ)
    place = np.linspace(0, np.pi, len(hz))
    orders = np.arange(1, 5)[:, None]
    curve_db = (rng.normal(0, 4 / orders) * np.cos(orders * place)).sum(axis=0)
    gain = 10 ** (curve_db / 20)
    if rng.random() < 0.3:
        gain = gain * (hz < rng.uniform(2500, 7000)) * (hz > rng.uniform(0, 350))
    return np.fft.irfft(spectrum * gain, len(pcm)).astype(np.float32)
