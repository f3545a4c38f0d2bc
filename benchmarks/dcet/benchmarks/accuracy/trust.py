"""Whether the confidence of an estimate tells how far to believe it.

Risk against coverage: answer only the share of the turns of which the model is surest, and see how
many of those answers are wrong (El-Yaniv & Wiener, JMLR 2010). The area under the curve is the mean
of the risk over every coverage (Geifman, Uziel & El-Yaniv, ICLR 2019).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcet.data.metrics import expected_calibration_error
from dcet.runtime import Estimate

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
BINS = 10  # of the table; the error has those of `dcet.data.metrics`
CONFIDENCE, TOP_PROBABILITY = "confidence", "top probability"


@dataclass(frozen=True, kw_only=True)
class Risk:
    """The share of wrong answers among the surest ones."""

    coverage: float  # share of all turns
    n: int
    risk: float
    least: float  # confidence among them


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The estimates whose confidence lies between two values."""

    low: float
    high: float
    n: int
    confidence: float  # mean
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What confidence is worth. Turns without an estimate are the least sure ones, at 0."""

    ranked_by: str  # CONFIDENCE, or TOP_PROBABILITY where the bundle has no confidence
    risks: tuple[Risk, ...]  # at COVERAGES
    aurc: float  # area under the curve of risk over coverage
    ece: float | None  # of the estimates; None where there are none
    reliability: tuple[Bin, ...]  # of the estimates, from unsure to sure; no empty ones
    abstaining: int  # turns without an estimate, and estimates that abstain
    risk_answered: float | None  # of the others; None where there are none


def measure_trust(estimates: Sequence[Estimate | None], correct: NDArray[np.bool_]) -> Trust:
    """Rank at least one turn.

    estimates: None for a turn without one
    correct:   (n,) whether what a host then knows of the speaker is right
    """
    known = np.array([estimate is not None for estimate in estimates])
    ranked_by, confidence = _confidence(estimates)
    answered = np.array([_is_answer(estimate) for estimate in estimates])
    order = np.argsort(-confidence, kind="stable")
    risks = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)  # by turns answered, from 1
    return Trust(
        ranked_by=ranked_by,
        risks=tuple(_risk(coverage, risks, confidence[order]) for coverage in COVERAGES),
        aurc=float(risks.mean()),
        ece=expected_calibration_error(confidence[known], correct[known]) if known.any() else None,
        reliability=tuple(_bins(confidence[known], correct[known])),
        abstaining=int((~answered).sum()),
        risk_answered=float((~correct[answered]).mean()) if answered.any() else None,
    )


def _confidence(estimates: Sequence[Estimate | None]) -> tuple[str, NDArray[np.float64]]:
    """Return what the turns are ranked by, and its values, 0 without an estimate."""
    sure = [None if estimate is None else estimate.confidence for estimate in estimates]
    if any(value is not None for value in sure):
        return CONFIDENCE, np.array([value or 0.0 for value in sure])
    tops = [max(estimate.probabilities.values()) if estimate else 0.0 for estimate in estimates]
    return TOP_PROBABILITY, np.array(tops)


def _is_answer(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.abstains is None


def _risk(coverage: float, risks: NDArray[np.float64], confidence: NDArray[np.float64]) -> Risk:
    n = max(1, round(coverage * len(risks)))
    return Risk(coverage=coverage, n=n, risk=float(risks[n - 1]), least=float(confidence[n - 1]))


def _bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> Iterator[Bin]:
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    for place in np.unique(places).tolist():
        inside = places == place
        yield Bin(
            low=place / BINS,
            high=(place + 1) / BINS,
            n=int(inside.sum()),
            confidence=float(confidence[inside].mean()),
            accuracy=float(correct[inside].mean()),
        )
