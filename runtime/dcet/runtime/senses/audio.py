"""Prepares audio as a host has it for an audio encoder, and measures how good it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.extras import need
from dcet.runtime.senses.quality import audio_quality, snr_db
from dcet.runtime.turn import Unusable, check_finite

MIN_MS = 100  # a short syllable
SILENT_PEAK = 1e-4  # of full scale: -80 dB
FULL = 0.99  # of full scale; a codec may have rounded off what was cut
FLAT = 0.9999  # of the peak, where that is above full scale: nothing was cut at 1 then
CLIPPED_SHARE = 0.001  # of the samples; clean speech touches full scale now and then
MOVED = 256  # samples between the two windows of a short turn: 16 ms, half a frame
USELESS_SHARE = 0.2  # of clipped samples, at which the quality is 0


@dataclass(frozen=True, slots=True, eq=False)
class PreparedAudio:
    """The audio of one turn, to be cut into windows."""

    pcm: Floats  # (n,) at 16 kHz, in [-1, 1]
    quality: float  # from 0 to 1
    notes: tuple[str, ...]  # what had to be done to it


def prepare_audio(audio: NDArray[Any], sample_rate_hz: int, *, most_samples: int) -> PreparedAudio:
    """Prepare checked PCM, (n,) or (n, channels): of a long turn the last part, `most_samples` at
    16 kHz.

    Channels are mixed, a constant offset is taken away, other rates are resampled. Raises Unusable,
    NotFinite, or MissingExtra where there is nothing to resample with.
    """
    if audio.size == 0:
        raise Unusable("empty")
    given_s = len(audio) / sample_rate_hz
    if given_s * 1000 < MIN_MS:
        raise Unusable(f"{given_s * 1000:.0f} ms; at least {MIN_MS} ms are needed")
    notes = []
    used_s = most_samples / SAMPLE_RATE_HZ
    if given_s > used_s:
        notes.append(f"the last {used_s:.4g} s of {given_s:.4g} s are used")
        audio = audio[-int(used_s * sample_rate_hz) :]
    samples, peak = _full_scale(np.asarray(audio))
    if peak > 1:
        notes.append(f"samples reach {peak:.6g}, expected [-1, 1]; scaled down")
    clipped = float((np.abs(samples) >= (FULL if peak <= 1 else FLAT)).mean())
    if clipped >= CLIPPED_SHARE:
        notes.append(f"clipped: {clipped:.1%} of the samples are at full scale")
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    mono = mono - mono.mean()
    if np.abs(mono).max() < SILENT_PEAK:
        raise Unusable("silent")
    if sample_rate_hz != SAMPLE_RATE_HZ:
        mono = need("soxr", extra="audio").resample(mono, sample_rate_hz, SAMPLE_RATE_HZ)
    mono = mono / max(1.0, float(np.abs(mono).max()))  # resampling may overshoot
    quality = audio_quality(snr_db(mono)) * max(0.0, 1 - clipped / USELESS_SHARE)
    return PreparedAudio(mono, quality, tuple(notes))


def cut_windows(mono: Floats, size: int, most: int) -> Floats:
    """Cut (n,), at most `most` windows long, into (windows, size): two in the middle of silence, or
    as many as it takes.

    The two hold the same sound, the second a little later: their mean depends less than one of them
    on where the frames of an encoder fall. Where `most` is 1 there is one. Several are evenly
    spread and overlap so that the first begins and the last ends with the audio; none of them is
    padded.
    """
    if len(mono) <= size:
        before = (size - len(mono)) // 2
        if most == 1:
            return np.pad(mono, (before, size - len(mono) - before))[None]
        padded = np.pad(mono, (before + MOVED // 2, size - len(mono) - before + MOVED // 2))
        return np.stack([padded[MOVED:], padded[:size]])
    return np.stack([mono[start : start + size] for start in window_starts(len(mono), size)])


def window_starts(samples: int, size: int) -> NDArray[np.int64]:
    """Return where the windows of a sound that is longer than one begin, evenly spread."""
    return np.linspace(0, samples - size, -(-samples // size)).round().astype(np.int64)


def _full_scale(audio: NDArray[Any]) -> tuple[Floats, float]:
    """Return the samples in [-1, 1], and their peak before, as a multiple of full scale."""
    if audio.dtype == np.int16:
        return audio.astype(np.float32) / np.float32(2**15), 1.0
    check_finite(audio)
    peak = float(np.abs(audio).max())
    scaled: Floats = (audio / max(1.0, peak)).astype(np.float32)
    return scaled, peak
