"""Shorter and longer cuts of the same talk: a mood does not depend on where the scissors were."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dcet.benchmarks.progress import Track
from dcet.benchmarks.room.recordings import Recording
from dcet.benchmarks.room.replies import Labels, Listener, Reply, count_labels, total_variation
from dcet.benchmarks.room.spots import HOP_S, draw_spots, spoken_hops
from dcet.runtime.labels import EMOTIONS

LENGTHS_S = (0.5, 1.0, 3.0, 9.0)
COMPARED_S = (1.0, 9.0)


@dataclass(frozen=True, kw_only=True)
class Length:
    """Cuts of one length."""

    length_s: float
    labels: Labels
    mean_estimate: dict[str, float] | None  # by emotion; None where no estimate was made


@dataclass(frozen=True, kw_only=True)
class Lengths:
    rows: tuple[Length, ...]
    tv: float | None  # of the mean estimates of 1 s and 9 s


def measure_lengths(
    listener: Listener, talk: Sequence[Recording], spots: int, rng: Generator, track: Track
) -> Lengths | None:
    """Cut 9 s at each spot and, inside of those, each shorter length where somebody speaks.

    Returns None where nobody speaks for so long.
    """
    longest_s = LENGTHS_S[-1]
    drawn = draw_spots(talk, longest_s, spots, rng)
    if not drawn:
        return None
    replies: dict[float, list[Reply]] = {length_s: [] for length_s in LENGTHS_S}
    for spot in track(drawn, "lengths"):
        recording = spot.recording
        spoken_s = np.flatnonzero(spoken_hops(recording)) * HOP_S - spot.start_s
        for length_s in LENGTHS_S:
            inside = spoken_s[(spoken_s >= 0) & (spoken_s <= longest_s - length_s)]
            start_s = spot.start_s + (float(rng.choice(inside)) if len(inside) else 0.0)
            stretch = recording.cut(start_s, length_s)
            replies[length_s].append(listener.hear(stretch, recording.rate_hz))
    rows = tuple(_row(length_s, of) for length_s, of in replies.items())
    return Lengths(rows=rows, tv=_distance({row.length_s: row for row in rows}))


def _row(length_s: float, replies: Sequence[Reply]) -> Length:
    known = [reply.probabilities for reply in replies if reply.probabilities is not None]
    mean = dict(zip(EMOTIONS, np.mean(known, axis=0).tolist(), strict=True)) if known else None
    return Length(length_s=length_s, labels=count_labels(replies), mean_estimate=mean)


def _distance(rows: dict[float, Length]) -> float | None:
    first, second = (rows[length_s].mean_estimate for length_s in COMPARED_S)
    if first is None or second is None:
        return None
    return total_variation(*(np.array([of[name] for name in EMOTIONS]) for of in (first, second)))
