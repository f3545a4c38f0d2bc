"""What a page shows of a session, kept while it goes on."""

from collections import Counter
from dataclasses import dataclass, field

from dcet.live.changes import Change
from dcet.live.events import UNKNOWN, Event, SeenFaces

APART_US = 1_000_000  # a face that was not found for so long was away


@dataclass(slots=True)
class Presence:
    """When a face was in view of a camera, and for whose it was taken."""

    spans_us: list[tuple[int, int]] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str | None:
        """For whose it was taken most often; None where for nobody's."""
        return max(self.names, key=self.names.__getitem__, default=None)

    @property
    def seconds(self) -> float:
        return sum(end_us - start_us for start_us, end_us in self.spans_us) / 1e6


class Record:
    """The last event of every turn, every change, and when each face was seen.

    It grows with the number of turns, and not with that of frames or interims.
    """

    def __init__(self) -> None:
        self.turns: dict[int, Event] = {}
        self.finals: dict[int, Event] = {}  # as they were before they were revised
        self.interims = 0
        self.changes: list[Change] = []
        self.presences: dict[int, Presence] = {}  # by track_id
        self.end_us = 0

    def hear(self, event: Event, change: Change | None) -> None:
        self.end_us = max(self.end_us, event.end_us)
        if change is not None:
            self.changes.append(change)
        if event.kind == "interim":
            self.interims += 1
            return
        self.turns[event.turn_id] = event
        if event.kind == "final":
            self.finals[event.turn_id] = event

    def see(self, seen: SeenFaces) -> None:
        self.end_us = max(self.end_us, seen.pts_us)
        for face in seen.faces:
            presence = self.presences.setdefault(face.track_id, Presence())
            if face.speaker is not None and face.speaker != UNKNOWN:
                presence.names[face.speaker] += 1
            start_us, end_us = presence.spans_us[-1] if presence.spans_us else (0, -APART_US)
            if 0 <= seen.pts_us - end_us < APART_US:
                presence.spans_us[-1] = start_us, seen.pts_us
            else:
                presence.spans_us.append((seen.pts_us, seen.pts_us))

    def people(self) -> list[str]:
        """Return everybody who was heard, in the order in which they first were."""
        turns = sorted(self.turns.values(), key=lambda event: event.start_us)
        return list(dict.fromkeys(event.speaker for event in turns))

    def turns_of(self, speaker: str) -> list[Event]:
        """Return the last event of each of their turns."""
        return [event for _, event in sorted(self.turns.items()) if event.speaker == speaker]
