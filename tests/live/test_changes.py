"""Changes of a label, with hysteresis."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dcet.live.changes import MOST_SPEAKERS, Change, Changes
from dcet.live.events import UNKNOWN
from dcet.runtime.labels import EMOTIONS
from tests.live.made_events import estimate, event

NEUTRAL, ANGRY = {"neutral": 0.8}, {"anger": 0.8}


def told(changes: Changes, shares: list[dict[str, float]]) -> list[Change]:
    found = [changes.update(event(seq, share)) for seq, share in enumerate(shares, start=1)]
    return [change for change in found if change is not None]


def test_the_first_estimate_is_a_change_from_nothing() -> None:
    (change,) = told(Changes(), [NEUTRAL, NEUTRAL])
    assert change.as_dict() == {
        "speaker": "Ann",
        "at_us": 4_000_000,
        "turn_id": 1,
        "before": None,
        "now": "neutral",
        "probability": pytest.approx(0.8),
    }


def test_two_emotions_that_are_about_equal_do_not_flicker() -> None:
    rng = np.random.default_rng(0)
    leads = [{"joy": 0.4 + x, "neutral": 0.4 - x} for x in rng.uniform(-0.1, 0.1, 200)]
    flips = sum(
        max(one, key=lambda name: one[name]) != max(two, key=lambda name: two[name])
        for one, two in pairwise(leads)
    )
    assert flips > 60
    assert len(told(Changes(), leads)) == 1


def test_a_change_that_lasts_is_told_once_and_soon() -> None:
    _, second = told(Changes(), [NEUTRAL] * 10 + [ANGRY] * 10)
    assert (second.before, second.now) == ("neutral", "anger")
    assert 11 <= second.turn_id <= 13


def test_a_strong_change_after_a_pause_is_told_at_once() -> None:
    changes = Changes()
    told(changes, [NEUTRAL] * 10)
    later = event(11, ANGRY, start_us=600_000_000, end_us=601_000_000)
    change = changes.update(later)
    assert change is not None
    assert (change.now, change.at_us) == ("anger", 601_000_000)


def test_time_counts_and_not_the_number_of_turns() -> None:
    """The same course in turns that are half as long, with the time of both, changes alike."""
    shares = [{"sadness": 0.5 + 0.4 * x, "joy": 0.5 - 0.4 * x} for x in np.linspace(-1, 1, 40)]
    coarse, fine = Changes(), Changes()
    at_us: list[list[int]] = [[], []]
    for seq, share in enumerate(shares):
        end_us = seq * 2_000_000
        if change := coarse.update(event(seq + 1, share, end_us=end_us)):
            at_us[0].append(change.at_us)
        for half in range(2):
            part = event(2 * seq + half + 1, share, end_us=end_us + (half - 1) * 1_000_000)
            if change := fine.update(part):
                at_us[1].append(change.at_us)
    assert len(at_us[0]) == len(at_us[1]) == 2
    assert at_us[0][1] == pytest.approx(at_us[1][1], abs=3_000_000)


def test_what_says_nothing_changes_nothing() -> None:
    changes = Changes()
    told(changes, [NEUTRAL] * 3)
    strong = {"joy": 0.99}
    assert changes.update(event(4, strong, kind="interim")) is None
    assert changes.update(event(4, None)) is None
    abstaining = replace(event(4, strong), estimate=estimate(strong, abstains="not sure"))
    assert changes.update(abstaining) is None
    assert changes.update(event(4, strong, speaker=UNKNOWN)) is None
    assert changes.update(event(4, strong, speaker="Ben")) is not None, "Ben is another person"
    assert changes.update(event(5, NEUTRAL)) is None


def test_a_revised_final_takes_the_place_of_its_final() -> None:
    once, revised = Changes(), Changes()
    for changes in (once, revised):
        told(changes, [NEUTRAL] * 3)
    revised.update(event(4, NEUTRAL, end_us=13_000_000))
    change = revised.update(event(4, {"joy": 0.99}, kind="revised", revision=1, end_us=13_000_000))
    assert change == once.update(event(4, {"joy": 0.99}, end_us=13_000_000))
    assert revised.update(event(2, ANGRY, kind="revised")) is None, "turns were heard since"


def test_a_label_is_one_of_the_emotions_whoever_speaks_and_memory_is_bounded() -> None:
    changes = Changes()
    rng = np.random.default_rng(1)
    for seq in range(3 * MOST_SPEAKERS):
        shares = dict(zip(EMOTIONS[:6], rng.dirichlet(np.ones(7))[:6].tolist(), strict=True))
        change = changes.update(event(seq + 1, shares, speaker=f"voice {seq}"))
        assert change is not None
        assert change.now in EMOTIONS
    assert len(changes._beliefs) == MOST_SPEAKERS


def test_forgetting_leaves_nothing() -> None:
    changes = Changes()
    told(changes, [NEUTRAL] * 3)
    changes.forget("Ann")
    changes.forget("nobody")
    change = changes.update(event(4, NEUTRAL))
    assert change is not None
    assert change.before is None
