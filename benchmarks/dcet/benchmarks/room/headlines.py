"""The figures of a room report that count, each with the bar that it should not exceed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcet.benchmarks.room.lengths import Lengths
from dcet.benchmarks.room.meetings import Meetings
from dcet.benchmarks.room.moves import REPEATED_MS, Move
from dcet.benchmarks.room.neighbours import Neighbours
from dcet.benchmarks.room.noises import Noise, share_named

# By key: the name, and the bar; None: no bar, but the price of the figures above it.
KNOWN: Mapping[str, tuple[str, float | None]] = {
    "moved_changed": ("3 s of talk, moved by 20 ms: labels that change", 0.02),
    "moved_tv": ("3 s of talk, moved by 20 ms: TV", 0.02),
    "moved_silent": ("3 s of talk, moved by 20 ms: no emotion named before or after", None),
    "lengths_tv": ("talk of 1 s and of 9 s, mean estimates: TV", 0.12),
    "turns_emotional": ("turns of meetings called other than neutral at 0.6 or more", 0.10),
    "made_named": ("sounds made, without speech: an emotion is named", 0.0),
    "recorded_named": ("noises recorded, without speech: an emotion is named", 0.0),
    "neighbours_tv": ("talking head, neighbours 1 s apart, audio + face: TV", 0.12),
}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A share, or a total variation (TV); lower is better."""

    key: str  # of KNOWN
    name: str
    value: float | None  # None where no estimate was made
    bar: float | None

    @property
    def is_met(self) -> bool:
        return self.bar is None or (self.value is not None and self.value <= self.bar)


def headlines(
    moves: Sequence[Move],
    lengths: Lengths | None,
    meetings: Meetings | None,
    noises: Sequence[Noise],
    neighbours: Sequence[Neighbours],
) -> tuple[Headline, ...]:
    """Take the figures out of the parts of a report that there are."""
    values: dict[str, float | None] = {}
    for move in moves:
        if move.move_ms == REPEATED_MS:
            values["moved_changed"] = move.steadiness.changed
            values["moved_tv"] = move.steadiness.tv
            values["moved_silent"] = move.steadiness.silent
    if lengths is not None:
        values["lengths_tv"] = lengths.tv
    if meetings is not None:
        values["turns_emotional"] = meetings.emotional
    for key, is_recorded in (("made_named", False), ("recorded_named", True)):
        if rows := [row for row in noises if row.is_recorded is is_recorded]:
            values[key] = share_named(rows)
    for neighbour in neighbours:
        if neighbour.modalities == ("audio", "face") and neighbour.in_one_conversation:
            values["neighbours_tv"] = neighbour.steadiness.tv
    return tuple(
        Headline(key=key, name=name, value=values[key], bar=bar)
        for key, (name, bar) in KNOWN.items()
        if key in values
    )
