"""What is known now: who is where, and how each person seems. It is what views show."""

from collections import OrderedDict
from dataclasses import dataclass

from dcet.live.changes import Change, Changes
from dcet.live.events import Event, SeenFace, SeenFaces

COLOURS = {
    "anger": "#d9534a",
    "disgust": "#9461d6",
    "fear": "#3f9b6c",
    "joy": "#e0ac2b",
    "neutral": "#8b93a0",
    "sadness": "#4a86d8",
    "surprise": "#2aa5b0",
}
HELD_US = 10_000_000  # so long after a turn, it still tells how its speaker seems
SHOWN_US = 1_000_000  # so long a face is shown after a frame in which it was found
MOST_PEOPLE = 64


@dataclass(frozen=True, slots=True)
class Seems:
    """How a person seems now."""

    event: Event  # the last one about them that has an estimate
    label: str | None  # the emotion as `Changes` has it; None before the first final


class Scene:
    """Follows events and faces as they come; memory is bounded by the people and cameras."""

    def __init__(self) -> None:
        self.now_us = 0
        self._changes = Changes()
        self._labels: dict[str, str] = {}
        self._last: OrderedDict[str, Event] = OrderedDict()
        self._seen: dict[str, SeenFaces] = {}

    def hear(self, event: Event) -> Change | None:
        """Take an event; return the change of a label that it makes."""
        self.now_us = max(self.now_us, event.end_us)
        change = self._changes.update(event)
        if change is not None:
            self._labels[change.speaker] = change.now
        if event.estimate is not None:
            self._last.pop(event.speaker, None)
            self._last[event.speaker] = event
            if len(self._last) > MOST_PEOPLE:
                gone, _ = self._last.popitem(last=False)
                self._labels.pop(gone, None)
        return change

    def see(self, seen: SeenFaces) -> None:
        """Take the faces of a frame."""
        self._seen[seen.track] = seen

    def pass_to(self, now_us: int) -> None:
        """Let time pass to a media time."""
        self.now_us = now_us

    def faces(self, track: str) -> tuple[SeenFace, ...]:
        """Return the faces that a camera has in view now."""
        seen = self._seen.get(track)
        if seen is None or not 0 <= self.now_us - seen.pts_us <= SHOWN_US:
            return ()
        return seen.faces

    def people(self) -> list[str]:
        """Return who was heard, the one heard last at the end."""
        return list(self._last)

    def seems(self, speaker: str | None) -> Seems | None:
        """Return how a person seems; None where they were not heard lately."""
        event = None if speaker is None else self._last.get(speaker)
        if event is None or self.now_us - event.end_us > HELD_US:
            return None
        return Seems(event, self._labels.get(event.speaker))
