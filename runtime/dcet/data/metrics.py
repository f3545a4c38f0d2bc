"""The figures DCET reports, computed in one place so that torch and bundle are evaluated alike.

Probabilities are (n, 7) in the order of EMOTIONS; labels are (n,) indices into it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dcet.data.bootstrap import intervals
from dcet.data.meld import Dialogue
from dcet.runtime.labels import EMOTIONS

ECE_BINS = 15


def conversation_metrics(
    dialogues: Sequence[Dialogue],
    probabilities: ArrayLike,
    sentiment: ArrayLike,
    shift: ArrayLike,
    confidence: ArrayLike | None = None,
) -> dict[str, Any]:
    """Compute all figures of a corpus; predictions have one row a turn, in reading order.

    `confidence` figures are left out where there are none.
    """
    turns = [turn for dialogue in dialogues for turn in dialogue.turns]
    shifted = shift_labels(dialogues)
    known = shifted >= 0  # a speaker's first turn has nothing to shift from
    emotions = np.array([turn.emotion for turn in turns])
    correct = np.asarray(probabilities).argmax(axis=1) == emotions
    dialogue = np.repeat(np.arange(len(dialogues)), [len(each.turns) for each in dialogues])
    sure = {} if confidence is None else {"confidence": confidence_metrics(correct, confidence)}
    return {
        **emotion_metrics(emotions, probabilities, dialogue),
        **sure,
        "sentiment": sentiment_metrics([turn.sentiment for turn in turns], sentiment),
        "shift": shift_metrics(shifted[known] == 1, np.asarray(shift)[known]),
    }


def shift_labels(dialogues: Sequence[Dialogue]) -> NDArray[np.int64]:
    """Return 1 where a speaker's emotion differs from their last one, 0 where not, -1 at first."""
    labels = []
    for dialogue in dialogues:
        last: dict[str, int] = {}
        for turn in dialogue.turns:
            before = last.get(turn.speaker)
            labels.append(-1 if before is None else int(before != turn.emotion))
            last[turn.speaker] = turn.emotion
    return np.array(labels, dtype=np.int64)


def emotion_metrics(
    labels: ArrayLike, probabilities: ArrayLike, groups: ArrayLike | None = None
) -> dict[str, Any]:
    """Compute figures of classification and calibration.

    UAR is the mean recall of the classes that occur. ECE is that of the top probability. With
    `groups`, (n,) numbers from 0 of who or what each answer belongs to, `interval_95` has the
    95 % intervals over draws of these groups.
    """
    true = np.asarray(labels, dtype=np.int64)
    p = np.asarray(probabilities, dtype=np.float64)
    predicted = p.argmax(axis=1)
    confusion = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=np.int64)
    np.add.at(confusion, (true, predicted), 1)
    support = confusion.sum(axis=1)
    pairs = support + confusion.sum(axis=0)  # 2 TP + FP + FN
    occurs = support > 0
    f1 = np.divide(2.0 * confusion.diagonal(), pairs, out=np.zeros(len(EMOTIONS)), where=pairs > 0)
    figures = {
        "n": len(true),
        "weighted_f1": float(f1 @ support / support.sum()),
        "macro_f1": float(f1.mean()),
        "accuracy": float((true == predicted).mean()),
        "uar": float((confusion.diagonal()[occurs] / support[occurs]).mean()),
        "per_class_f1": dict(zip(EMOTIONS, f1.tolist(), strict=True)),
        "confusion": confusion.tolist(),  # rows are true labels
        "ece": expected_calibration_error(p.max(axis=1), true == predicted),
        "nll": float(-np.log(np.clip(p[np.arange(len(true)), true], 1e-12, None)).mean()),
    }
    if groups is not None:
        figures["interval_95"] = intervals(true, predicted, np.asarray(groups, np.int64))
    return figures


def expected_calibration_error(confidence: NDArray[Any], correct: NDArray[Any]) -> float:
    """Compute the mean distance of confidence, (n,) in [0, 1], and accuracy, in 15 equal-width bins
    (Guo et al., ICML 2017); n is at least 1."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gap = np.bincount(bins, weights=confidence - correct, minlength=ECE_BINS)
    return float(np.abs(gap).sum() / len(confidence))


def confidence_metrics(correct: ArrayLike, confidence: ArrayLike) -> dict[str, float]:
    """Compute how far the confidence (n,) of estimates tells the right ones from the wrong ones.

    ECE is its distance from their accuracy; AUC the chance that it is higher for a right one.
    """
    y, p = np.asarray(correct, dtype=bool), np.asarray(confidence, dtype=np.float64)
    return {"ece": expected_calibration_error(p, y), "auc": area_under_roc(y, p)}


def sentiment_metrics(true: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Compute error and agreement of sentiment on [-1, 1]; CCC is that of Lin (Biometrics 1989)."""
    y, x = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    spread = x.std() * y.std()
    scale = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return {
        "mae": float(np.abs(x - y).mean()),
        "pearson": float(covariance / spread) if spread else 0.0,
        "ccc": float(2 * covariance / scale) if scale else 0.0,
    }


def shift_metrics(true: ArrayLike, probability: ArrayLike) -> dict[str, float]:
    """Compute F1 at 0.5, average precision, AUC and ECE of the emotion-shift detector.

    Two figures tell what they are worth: the share of turns with a shift, and the F1 of whoever
    always says that there is one.
    """
    y, p = np.asarray(true, dtype=bool), np.asarray(probability, dtype=np.float64)
    predicted = p >= 0.5
    pairs = y.sum() + predicted.sum()
    return {
        "f1": float(2 * (y & predicted).sum() / pairs) if pairs else 0.0,
        "average_precision": _average_precision(y, p),
        "auc": area_under_roc(y, p),
        "ece": expected_calibration_error(p, y) if len(y) else 0.0,
        "base_rate": float(y.mean()) if len(y) else 0.0,
        "always_yes_f1": float(2 * y.sum() / (y.sum() + len(y))) if len(y) else 0.0,
    }


def area_under_roc(true: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Return the share of pairs of a true and a false item of which the true one scores higher;
    ties count half. 0.5 where there are no pairs."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # the mean one of equal scores, from 1
    yes, no = int(true.sum()), int((~true).sum())
    if not yes or not no:
        return 0.5
    return float((rank[place][true].sum() - yes * (yes + 1) / 2) / (yes * no))


def _average_precision(true: NDArray[Any], score: NDArray[Any]) -> float:
    """Return the area under precision over recall, in steps; equal scores are one threshold."""
    if not true.any():
        return 0.0
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(true[order])
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    hits, ranks = hits[last_of_tie], np.flatnonzero(last_of_tie) + 1
    return float((np.diff(hits, prepend=0) * (hits / ranks)).sum() / true.sum())
