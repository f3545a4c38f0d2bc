"""Streams for a bundle to which what is loud is a voice."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dcet.live import Event, LiveSession
from dcet.runtime.arrays import Floats
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FaceFinder, FoundFace, cut_out
from tests.runtime.signals import face

RATE_HZ = 16_000


def sound(seconds: float, voiced: Iterable[tuple[float, float]], rate_hz: int = RATE_HZ) -> Floats:
    """Make a room that is all but silent, but for a tone from one second to another."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    pcm = np.random.default_rng(0).normal(0, 1e-3, len(times)).astype(np.float32)
    for first, end in voiced:
        within = (times >= first) & (times < end)
        pcm[within] += (0.1 * np.sin(times[within] * 4800)).astype(np.float32)
    return pcm


def push(
    session: LiveSession,
    pcm: Floats,
    *,
    rate_hz: int = RATE_HZ,
    block: int = 320,
    start_us: int = 0,
    track: str = "mic",
) -> None:
    """Push sound in blocks of so many samples."""
    for begin in range(0, len(pcm), block):
        at_us = start_us + begin * 1_000_000 // rate_hz
        session.push_audio(pcm[begin : begin + block], at_us, sample_rate_hz=rate_hz, track=track)


def taken(session: LiveSession) -> list[Event]:
    """Close the session, and return its events."""
    session.close()
    return list(session.events())


def finals(events: Sequence[Event]) -> list[Event]:
    """The finals among the events."""
    return [event for event in events if event.kind == "final"]


def plain(event: Event) -> dict[str, Any]:
    """An event without its latencies."""
    made = event.as_dict() | {"latency_ms": None}
    if made["estimate"] is not None:
        made["estimate"] = made["estimate"] | {"latency_ms": None}
    return made


def adds_up(session: LiveSession) -> bool:
    """Whether everything that came in ended in exactly one way."""
    counts = session.counters
    return all(
        counts[stream]["received"]
        == sum(counts[stream][fate] for fate in ("used", "late", "dropped"))
        for stream in ("samples", "frames", "texts", "turns")
    )


class Finder(FaceFinder):
    """Finds a face in each square of 60 pixels whose middle is not grey."""

    def __init__(self) -> None:
        self.searched = 0
        self.detector, self.degraded = "drawn", ()

    def find(self, frame: Pixels, *last: Any) -> FoundFace | None:
        return next(iter(self.find_all(frame)), None)

    def find_all(self, frame: Pixels) -> list[FoundFace]:
        self.searched += 1
        boxes = [
            np.array([left, top, 60, 60], np.float32)
            for left in range(0, frame.shape[1] - 59, 60)
            for top in range(0, frame.shape[0] - 59, 60)
            if (frame[top + 30, left + 30] != 128).any()
        ]
        return [cut_out(frame, box, 0.9) for box in boxes]


def picture(*people: int, noise: int = 0) -> Pixels:
    """Make a picture (120, 240, 3) with the faces of these people side by side; `noise` makes it
    differ from others."""
    made = np.full((120, 240, 3), 128, np.uint8)
    for place, person in enumerate(people):
        made[0:60, place * 60 : place * 60 + 60] = face(60, person)
    made[119, 239] = noise % 256
    made[112, 232] = noise % 256  # one that a frozen camera is told by
    return made
