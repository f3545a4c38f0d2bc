"""Paired differences of scores on the same turns, with bootstrap intervals over conversations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.labels import EMOTIONS

DRAWS = 2000
PIECE_TURNS = 20  # a longer conversation is drawn in pieces of this length
LOW, HIGH = 2.5, 97.5  # per cent: the ends of an interval


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What a score loses when something is taken away; negative where it gains."""

    value: float
    low: float  # of the 95 % interval
    high: float


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Figures of one or of many confusions."""

    weighted_f1: NDArray[np.float64]
    uar: NDArray[np.float64]


def pieces(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Return which piece each turn is in, (n,), of conversations that have so many turns."""
    numbers: list[int] = []
    for length in lengths:
        first = numbers[-1] + 1 if numbers else 0
        numbers += [first + turn // PIECE_TURNS for turn in range(length)]
    return np.array(numbers, np.int64)


def confusions(
    labels: NDArray[np.int64], answers: NDArray[np.int64], pieces: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count (true label, answer) in each piece: (pieces, 7, 7)."""
    counts = np.zeros((pieces.max() + 1, len(EMOTIONS), len(EMOTIONS)), np.int64)
    np.add.at(counts, (pieces, labels, answers), 1)
    return counts


def scores(confusion: NDArray[Any]) -> Scores:
    """Score confusions (…, 7, 7), as `dcet.data.metrics.emotion_metrics` does."""
    true, named = confusion.sum(axis=-1), confusion.sum(axis=-2)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    f1 = 2 * hits / np.maximum(true + named, 1)
    recall = hits / np.maximum(true, 1)
    return Scores(
        weighted_f1=(f1 * true).sum(axis=-1) / true.sum(axis=-1),
        uar=recall.sum(axis=-1) / (true > 0).sum(axis=-1),
    )


def lost(whole: NDArray[np.int64], without: NDArray[np.int64], seed: int) -> dict[str, Lost]:
    """Return what weighted F1 and UAR lose from `whole` to `without`, confusions of the same
    pieces. Both are scored on the same draws of pieces."""
    count = len(whole)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), DRAWS)
    size = len(EMOTIONS)
    drawn = [
        scores((draws @ part.reshape(count, -1)).reshape(-1, size, size))
        for part in (whole, without)
    ]
    total = [scores(part.sum(axis=0)) for part in (whole, without)]
    found = {}
    for name in ("weighted_f1", "uar"):
        before, after = (getattr(part, name) for part in drawn)
        low, high = np.percentile(before - after, [LOW, HIGH])
        value = float(getattr(total[0], name) - getattr(total[1], name))
        found[name] = Lost(value=value, low=float(low), high=float(high))
    return found
