"""What is pushed, checked before anything is done with it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.answering.texts import Words
from dcet.live.hearing.audio_track import AudioBlock
from dcet.live.timeline import SECOND_US, check_pts
from dcet.runtime.errors import ConfigError, InputError
from dcet.runtime.turn import check_audio, check_sample_rate, check_speaker, check_text


def audio_block(pcm: NDArray[Any], pts_us: int, sample_rate_hz: int, track: str) -> AudioBlock:
    """Return a block of sound as it was given. Raises InputError."""
    check_audio(pcm, sample_rate_hz)
    rate_hz = check_sample_rate(sample_rate_hz)
    return AudioBlock(check_speaker(track, "track"), pcm, check_pts("pts_us", pts_us), rate_hz)


def seconds_of(block: AudioBlock) -> Iterator[AudioBlock]:
    """Copy a block, in pieces of at most a second."""
    size = block.sample_rate_hz
    for begin in range(0, len(block.pcm), size):
        at_us = block.pts_us + round(begin / block.sample_rate_hz * SECOND_US)
        yield replace(block, pcm=np.array(block.pcm[begin : begin + size]), pts_us=at_us)


def spoken_words(
    text: str, start_us: int, end_us: int, speaker: str | None, is_final: bool
) -> Words:
    """Return words as they were given. Raises InputError."""
    check_text(text)
    name = None if speaker is None else check_speaker(speaker)
    start_us, end_us = check_pts("start_us", start_us), check_pts("end_us", end_us)
    if end_us < start_us:
        raise InputError(
            f"end_us: expected {start_us} or later, where the words begin, got {end_us}"
        )
    return Words(text, start_us, end_us, name, bool(is_final))


def check_ms(**times_ms: float) -> None:
    """Check lengths of time among a session's options. Raises ConfigError."""
    for name, value in times_ms.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 1 <= value <= 3_600_000:
            raise ConfigError(f"{name}: expected 1 ms to an hour, got {value!r}")
