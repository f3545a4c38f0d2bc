"""How far scores would move on other people: 95 % intervals of bootstrap draws.

What is drawn are groups of answers that belong together, such as all of a speaker or all of a
conversation (Bisani and Ney, ICASSP 2004): answers of one speaker are right and wrong together.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.labels import EMOTIONS

DRAWS = 2000
LOW, HIGH = 2.5, 97.5  # per cent: the ends of an interval


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Figures of one or of many confusions."""

    weighted_f1: NDArray[np.float64]
    macro_f1: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    uar: NDArray[np.float64]


def confusions(
    labels: NDArray[np.int64], answers: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count (true label, answer) in each group, numbered from 0: (groups, 7, 7)."""
    counts = np.zeros((groups.max() + 1, len(EMOTIONS), len(EMOTIONS)), np.int64)
    np.add.at(counts, (groups, labels, answers), 1)
    return counts


def scores(confusion: NDArray[Any]) -> Scores:
    """Score confusions (…, 7, 7), as `dcet.data.metrics.emotion_metrics` does."""
    true, named = confusion.sum(axis=-1), confusion.sum(axis=-2)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    f1 = 2 * hits / np.maximum(true + named, 1)
    recall = hits / np.maximum(true, 1)
    return Scores(
        weighted_f1=(f1 * true).sum(axis=-1) / true.sum(axis=-1),
        macro_f1=f1.mean(axis=-1),
        accuracy=hits.sum(axis=-1) / true.sum(axis=-1),
        uar=recall.sum(axis=-1) / (true > 0).sum(axis=-1),
    )


def draw(counts: NDArray[np.int64], seed: int) -> Scores:
    """Score DRAWS draws of as many groups as there are; the same draws for the same seed."""
    size, groups = len(EMOTIONS), len(counts)
    times = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), DRAWS)
    # As floats, which NumPy multiplies much faster; the counts are small enough to stay exact.
    drawn = times.astype(np.float64) @ counts.reshape(groups, -1).astype(np.float64)
    return scores(drawn.reshape(-1, size, size))


def intervals(
    labels: NDArray[np.int64],
    answers: NDArray[np.int64],
    groups: NDArray[np.int64],
    seed: int = 0,
) -> dict[str, list[float]]:
    """Return the 95 % interval of each of the Scores: its lower and its upper end.

    groups: (n,) which answers belong together, numbered from 0
    """
    drawn = draw(confusions(labels, answers, groups), seed)
    return {
        name: np.percentile(getattr(drawn, name), [LOW, HIGH]).tolist()
        for name in Scores.__dataclass_fields__
    }
