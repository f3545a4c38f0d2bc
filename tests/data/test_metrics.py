"""The figures against scikit-learn, and against the formulas written out where it has none."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from dcet.data.meld import Dialogue, Utterance
from dcet.data.metrics import (
    conversation_metrics,
    emotion_metrics,
    sentiment_metrics,
    shift_labels,
    shift_metrics,
)
from dcet.runtime.labels import EMOTIONS

Floats = NDArray[np.float64]
CLASSES = range(len(EMOTIONS))
few = settings(max_examples=40)


def draw(seed: int, n: int, classes: int) -> tuple[NDArray[np.int64], Floats]:
    """Labels of the first `classes` emotions, and probabilities that sum to 1."""
    rng = np.random.default_rng(seed)
    p = 0.99 * rng.dirichlet(np.full(7, 0.5), size=n) + 0.01 / 7  # clear of where logs are clipped
    return rng.integers(classes, size=n), p


@few
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 7))
def test_classification_is_scikit_learns(seed: int, n: int, classes: int) -> None:
    true, p = draw(seed, n, classes)
    found, predicted = emotion_metrics(true, p), p.argmax(axis=1)

    def f1(average: str | None) -> Floats:
        score = sk.f1_score(true, predicted, average=average, labels=CLASSES, zero_division=0)
        return np.asarray(score)

    assert found["n"] == n
    assert found["weighted_f1"] == pytest.approx(f1("weighted"))
    assert found["macro_f1"] == pytest.approx(f1("macro"))
    assert list(found["per_class_f1"]) == list(EMOTIONS)
    assert list(found["per_class_f1"].values()) == pytest.approx(f1(None))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    assert found["confusion"] == sk.confusion_matrix(true, predicted, labels=CLASSES).tolist()
    assert found["nll"] == pytest.approx(sk.log_loss(true, p, labels=CLASSES))


@few
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_shift_is_scikit_learns_with_ties(rows: list[tuple[bool, int]]) -> None:
    true = np.array([row[0] for row in rows])
    score = np.array([row[1] / 5 for row in rows])  # few values, so many ties
    found = shift_metrics(true, score)
    assert found["f1"] == pytest.approx(sk.f1_score(true, score >= 0.5, zero_division=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns where nothing is positive
        expected = sk.average_precision_score(true, score)
    assert found["average_precision"] == pytest.approx(expected)
    auc = sk.roc_auc_score(true, score) if len(set(true)) == 2 else 0.5
    assert found["auc"] == pytest.approx(auc)
    always = sk.f1_score(true, np.ones_like(true), zero_division=0)
    assert found["always_yes_f1"] == pytest.approx(always)
    assert found["base_rate"] == true.mean()


def test_the_order_of_ties_does_not_matter() -> None:
    true = np.array([True, False, True, False, False])
    tied = shift_metrics(true, np.full(5, 0.4))["average_precision"]
    assert tied == pytest.approx(0.4)  # one threshold: the share of shifts
    assert shift_metrics(true[::-1], np.full(5, 0.4))["average_precision"] == pytest.approx(tied)


def test_expected_calibration_error_of_hand_made_bins() -> None:
    def row(confidence: float) -> list[float]:
        return [confidence, *[(1 - confidence) / 6] * 6]

    # Bins are 1/15 wide. 0.91 and 0.92 share [0.867, 0.933); 0.5 lies in [0.467, 0.533), 1.0 in the
    # last. Gaps: |(0.91 + 0.92) / 2 - 1/2|, |0.5 - 1|, |1 - 0|.
    p = np.array([row(0.91), row(0.92), row(0.5), row(1.0)])
    expected = (2 * (0.915 - 0.5) + 0.5 + 1.0) / 4
    assert emotion_metrics([0, 1, 0, 3], p)["ece"] == pytest.approx(expected)


def test_certainty_that_is_right_has_no_calibration_error() -> None:
    found = emotion_metrics(list(CLASSES), np.eye(7))
    assert (found["ece"], found["nll"], found["macro_f1"]) == (0.0, 0.0, 1.0)


def test_certainty_that_is_wrong_is_finite() -> None:
    assert emotion_metrics([1], np.eye(7)[:1])["nll"] == pytest.approx(-np.log(1e-12))


@few
@given(st.integers(0, 10_000), st.integers(3, 50))
def test_sentiment_follows_the_formulas(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.resize([-1.0, 0.0, 1.0], n))
    x = np.tanh(y + rng.normal(0.3, 1.0, n))
    found = sentiment_metrics(y, x)
    correlation = np.corrcoef(x, y)[0, 1]
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, x))
    assert found["pearson"] == pytest.approx(correlation)
    # Lin (1989): 2 rho sx sy / (sx² + sy² + (mx - my)²)
    scale = np.var(x) + np.var(y) + (np.mean(x) - np.mean(y)) ** 2
    assert found["ccc"] == pytest.approx(2 * correlation * np.std(x) * np.std(y) / scale)


def test_concordance_punishes_an_offset_that_correlation_forgives() -> None:
    y = np.array([-1.0, 0.0, 1.0, 0.0])
    found = sentiment_metrics(y, y / 2 + 0.4)
    assert found["pearson"] == pytest.approx(1.0)
    assert found["ccc"] == pytest.approx(2 * 0.25 / (0.125 + 0.5 + 0.16))


def test_a_constant_prediction_agrees_with_nothing() -> None:
    found = sentiment_metrics([-1, 0, 1], [0.0, 0.0, 0.0])
    assert (found["pearson"], found["ccc"]) == (0.0, 0.0)
    assert found["mae"] == pytest.approx(2 / 3)


def dialogue(*turns: tuple[str, int]) -> Dialogue:
    return Dialogue(
        "0",
        tuple(
            Utterance(who, "hm", emotion, 0, row, row + 2)
            for row, (who, emotion) in enumerate(turns)
        ),
    )


def test_shift_is_from_the_speakers_own_last_turn_in_the_dialogue() -> None:
    one = dialogue(("Ada", 3), ("Ben", 4), ("Ada", 3), ("Ben", 0), ("Ada", 4), ("Cleo", 0))
    other = dialogue(("Ada", 4), ("Ada", 0))
    assert shift_labels([one, other]).tolist() == [-1, -1, 0, 1, 1, -1, -1, 1]


def test_first_turns_do_not_count_for_shift() -> None:
    heard = [dialogue(("Ada", 3), ("Ben", 4), ("Ada", 0), ("Ben", 4))]
    p = np.full((4, 7), 1 / 7)
    found = [
        conversation_metrics(heard, p, np.zeros(4), np.array([first, first, 0.9, 0.1]))
        for first in (0.0, 1.0)
    ]
    assert found[0] == found[1]
    shift = found[0]["shift"]
    assert shift == pytest.approx(
        {
            "f1": 1.0,
            "average_precision": 1.0,
            "auc": 1.0,
            "ece": 0.1,
            "base_rate": 0.5,
            "always_yes_f1": 2 / 3,
        }
    )


def test_conversation_figures_have_the_agreed_keys() -> None:
    found = conversation_metrics([dialogue(("Ada", 3))], np.full((1, 7), 1 / 7), [0.0], [0.5])
    assert list(found) == [
        *(
            "n",
            "weighted_f1",
            "macro_f1",
            "accuracy",
            "uar",
            "per_class_f1",
            "confusion",
            "ece",
            "nll",
            "interval_95",
        ),
        *("sentiment", "shift"),
    ]
    assert list(found["sentiment"]) == ["mae", "pearson", "ccc"]
    assert list(found["shift"]) == [
        *("f1", "average_precision", "auc", "ece", "base_rate", "always_yes_f1")
    ]


def test_confidence_has_figures_where_it_is_given() -> None:
    heard, sure = [dialogue(("Ada", 3), ("Ben", 4))], np.eye(7)[[3, 3]]
    found = conversation_metrics(heard, sure, np.zeros(2), np.zeros(2), [0.9, 0.2])
    assert found["confidence"] == pytest.approx({"ece": 0.15, "auc": 1.0})
