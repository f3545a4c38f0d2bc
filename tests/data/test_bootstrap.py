"""Intervals against what is known of the distribution that the answers were drawn from."""

import numpy as np
import pytest

from dcet.data.bootstrap import confusions, draw, intervals, scores
from dcet.data.metrics import emotion_metrics


def test_scores_are_those_of_every_report() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 5, 200), rng.uniform(size=(200, 7))
    counts = confusions(labels, probabilities.argmax(axis=1), rng.integers(0, 9, 200))
    found, expected = scores(counts.sum(axis=0)), emotion_metrics(labels, probabilities)
    for name in ("weighted_f1", "macro_f1", "accuracy", "uar"):
        assert getattr(found, name) == pytest.approx(expected[name])


def test_an_interval_holds_the_truth_in_95_of_100_draws_of_speakers() -> None:
    """Speakers who are all right or all wrong: what is drawn is 60 coins, not 600 answers."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 10)
    held, alone = 0, 0
    for _ in range(100):
        labels = rng.integers(0, 7, 600)
        wrong = np.repeat(rng.uniform(size=60) > 0.7, 10)
        answers = np.where(wrong, (labels + 1) % 7, labels)
        low, high = intervals(labels, answers, groups)["accuracy"]
        held += low <= 0.7 <= high
        low, high = intervals(labels, answers, np.arange(600))["accuracy"]
        alone += low <= 0.7 <= high
    assert 89 <= held <= 100
    assert alone < 70  # as if the answers of a speaker were independent: far too sure


def test_draws_are_the_same_for_the_same_seed() -> None:
    counts = confusions(np.arange(7), np.zeros(7, int), np.arange(7))
    assert np.array_equal(draw(counts, 3).accuracy, draw(counts, 3).accuracy)
    assert not np.array_equal(draw(counts, 3).accuracy, draw(counts, 4).accuracy)
