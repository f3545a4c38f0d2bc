"""What a live session says: events about turns, and which faces it saw. docs/events.md explains."""

from dataclasses import dataclass, field
from typing import Any, Literal

from dcet.runtime.estimate import Estimate

UNKNOWN = "unknown"  # the speaker where nobody can tell who it was; it has a memory of its own

Kind = Literal["interim", "final", "revised"]
Status = Literal["ok", "abstain", "late", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What is known of one turn at one time. Times are microseconds of the host's media time.

    A turn has interims, which the memory never sees, then one final, which is revised at most once.
    """

    seq: int  # in the session, from 1, without gaps
    turn_id: int  # in the session, from 1, in the order in which turns began
    revision: int  # of the turn, from 0
    kind: Kind
    status: Status  # late: after the deadline; missing: there is no estimate
    speaker: str
    speaker_confidence: float  # in [0, 1]; 1 where the host named the speaker
    start_us: int
    end_us: int  # of the speech; of an interim, so far
    text: str | None  # the words that the estimate is made from
    estimate: Estimate | None
    left_out: tuple[str, ...]  # what the estimate is made without, and why, in the order given up
    deadline_us: int | None  # media time until which a final was due
    latency_ms: dict[str, float] = field(default_factory=dict)  # by stage, from the end of speech

    def as_dict(self) -> dict[str, Any]:
        """Return the event as values that JSON has; docs/events.schema.json describes them."""
        estimate = None if self.estimate is None else self.estimate.as_dict()
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain |= {"estimate": estimate, "left_out": list(self.left_out)}
        return plain | {"latency_ms": dict(self.latency_ms)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFace:
    """One face of a frame."""

    track_id: int  # of the person, as long as the session lasts
    box: tuple[float, float, float, float]  # x, y, width, height in pixels of the frame
    score: float  # of the face finder, in (0, 1]
    speaker: str | None  # whose face it is taken for now


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFaces:
    """The faces of one frame that was searched; there may be none."""

    track: str  # the camera's
    pts_us: int
    faces: tuple[SeenFace, ...]
