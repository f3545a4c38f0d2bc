"""Paired differences of scores on the same turns, with bootstrap intervals over conversations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcet.data.bootstrap import HIGH, LOW, draw, scores

PIECE_TURNS = 20  # a longer conversation is drawn in pieces of this length


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What a score loses when something is taken away; negative where it gains."""

    value: float
    low: float  # of the 95 % interval
    high: float


def pieces(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Return which piece each turn is in, (n,), of conversations that have so many turns."""
    numbers: list[int] = []
    for length in lengths:
        first = numbers[-1] + 1 if numbers else 0
        numbers += [first + turn // PIECE_TURNS for turn in range(length)]
    return np.array(numbers, np.int64)


def lost(whole: NDArray[np.int64], without: NDArray[np.int64], seed: int) -> dict[str, Lost]:
    """Return what weighted F1 and UAR lose from `whole` to `without`, confusions of the same
    pieces. Both are scored on the same draws of pieces."""
    drawn = [draw(part, seed) for part in (whole, without)]
    total = [scores(part.sum(axis=0)) for part in (whole, without)]
    found = {}
    for name in ("weighted_f1", "uar"):
        before, after = (getattr(part, name) for part in drawn)
        low, high = np.percentile(before - after, [LOW, HIGH])
        value = float(getattr(total[0], name) - getattr(total[1], name))
        found[name] = Lost(value=value, low=float(low), high=float(high))
    return found
