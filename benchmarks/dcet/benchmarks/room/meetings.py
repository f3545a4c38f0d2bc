"""The turns of meetings, in which hardly anybody is beside themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcet.benchmarks.progress import Track
from dcet.benchmarks.room.recordings import Recording
from dcet.benchmarks.room.replies import Labels, Listener, Reply, count_labels
from dcet.runtime.errors import BadNumber
from dcet.runtime.labels import EMOTIONS

SHORTEST_S = 1.0
SURE = 0.6


@dataclass(frozen=True, kw_only=True)
class Meetings:
    """Turns of 1 s and more, each alone."""

    labels: Labels
    emotional: float  # share named an emotion other than neutral, at 0.6 or more
    silent: float  # share of which no emotion is named


def measure_meetings(
    listener: Listener, talk: Sequence[Recording], track: Track
) -> Meetings | None:
    """Returns None where there is no turn of 1 s. Raises BadNumber for one that begins too late."""
    replies = [
        _hear(listener, recording, turn.start_s, turn.end_s, turn.line)
        for recording in track(talk, "turns of meetings")
        for turn in recording.turns
        if turn.end_s - turn.start_s >= SHORTEST_S
    ]
    if not replies:
        return None
    labels = count_labels(replies)
    return Meetings(
        labels=labels,
        emotional=float(np.mean([_is_emotional(reply) for reply in replies])),
        silent=1 - labels.named,
    )


def _hear(
    listener: Listener, recording: Recording, start_s: float, end_s: float, line: int
) -> Reply:
    if start_s >= recording.seconds:
        raise BadNumber(
            f"{recording.name}: it ends at {recording.seconds:.2f} s, but line {line} of its .rttm "
            f"has a turn at {start_s:.2f} s; correct the line"
        )
    return listener.hear(recording.cut(start_s, end_s - start_s), recording.rate_hz)


def _is_emotional(reply: Reply) -> bool:
    if reply.probabilities is None or not reply.is_named or reply.label == "neutral":
        return False
    return bool(reply.probabilities[EMOTIONS.index(reply.label)] >= SURE)
