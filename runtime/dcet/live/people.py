"""Who speaks, and whose faces are whose."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from dcet.live.events import UNKNOWN
from dcet.runtime.arrays import Floats


@dataclass(frozen=True, slots=True)
class Who:
    """A speaker, how sure that is, and the tracked face, if any."""

    speaker: str
    confidence: float
    face: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces of one person during a turn, encoded."""

    features: Floats  # (n, width)
    quality: float


class People:
    """Knows the people in the room. Any thread may use it.

    speakers: the speaker of a microphone's or camera's track, where it has but one
    """

    def __init__(self, speakers: Mapping[str, str]) -> None:
        self._speakers = dict(speakers)
        self._lock = threading.Lock()

    def who(self, track: str, start_us: int, end_us: int) -> Who:
        """Return who speaks on this track of sound at that time."""
        if track in self._speakers:
            return Who(self._speakers[track], 1.0)
        return Who(UNKNOWN, 0.0)

    def faces(self, who: Who, start_us: int, end_us: int) -> Faces | None:
        """Return the speaker's faces of that time; None where there are none."""
        return None
