"""The summary of a conversation, for an agent that has few tokens to spare."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcet.runtime import EMOTIONS, Bundle, Conversation
from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.text import count_tokens
from dcet.runtime.summary import LEAD, Summary, find_spans, summarise
from dcet.runtime.trajectory import Trajectory
from tests.tiny_bundle import WORDS, write_tiny_bundle


def course(*named: str, by: float = 0.05) -> Floats:
    """Probabilities (n, 7) of turns that name these emotions, each by a lead of `by`."""
    rows = np.full((len(named), len(EMOTIONS)), (1 - by) / len(EMOTIONS), np.float32)
    rows[np.arange(len(named)), [EMOTIONS.index(name) for name in named]] += by
    return rows


def spoken(speaker: str, probabilities: Floats, **fields: Any) -> Trajectory:
    count = len(probabilities)
    defaults = {
        "turns": np.arange(1, count + 1),
        "times_us": np.full(count, -1),
        "sentiment": np.zeros(count, np.float32),
        "shift": np.zeros(count, np.float32),
        "confidence": np.full(count, 0.5, np.float32),
    }
    return Trajectory(speaker=speaker, probabilities=probabilities, **(defaults | fields))


def words(text: str) -> int:
    return len(text.split())


def summary(*trajectories: Trajectory, max_tokens: int = 200) -> Summary:
    return summarise(9, trajectories, abstain_below=0.4, max_tokens=max_tokens, count=words)


def named(probabilities: Floats) -> list[tuple[int, str]]:
    return [(place, EMOTIONS[emotion]) for place, emotion in find_spans(probabilities)]


def test_one_doubtful_turn_changes_no_course() -> None:
    assert named(course("joy", "anger", "joy", "anger", "joy")) == [(0, "joy")]


def test_two_turns_in_a_row_change_it_from_the_first_of_them() -> None:
    assert named(course("joy", "joy", "anger", "anger")) == [(0, "joy"), (2, "anger")]
    assert named(course("joy", "anger", "fear", "fear")) == [(0, "joy"), (2, "fear")]


def test_one_clear_turn_changes_it() -> None:
    assert named(course("joy", "anger", by=LEAD + 0.01)) == [(0, "joy"), (1, "anger")]


@given(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=30), st.floats(0.01, 0.9))
def test_spans_follow_each_other_and_differ(emotions: list[str], lead: float) -> None:
    spans = find_spans(course(*emotions, by=lead))
    begins, names = zip(*spans, strict=True)
    assert begins[0] == 0
    assert list(begins) == sorted(set(begins))
    assert all(one != other for one, other in pairwise(names))
    for begin, emotion in spans:
        assert EMOTIONS[emotion] == emotions[begin]


def test_it_says_what_is_now_since_when_and_what_was_before() -> None:
    ann = spoken(
        "Ann",
        course("joy", "joy", "anger", "anger", "fear", by=0.1),
        turns=np.array([2, 3, 5, 7, 8]),
        times_us=np.array([1, 2, 83, 90, 95]) * 1_000_000,
        sentiment=np.array([0.5, 0.5, -0.25, -0.5, -0.75], np.float32),
        confidence=np.array([0.9, 0.9, 0.7, 0.6, 0.3], np.float32),
    )
    [made] = summary(ann).speakers
    assert (made.emotion, made.since_turn, made.since_us) == ("anger", 5, 83_000_000)
    assert made.confidence == pytest.approx(0.6)  # fear was named with 0.3, and is not it yet
    assert (made.last_turn, made.last_us) == (8, 95_000_000)
    assert made.sentiment == pytest.approx(-0.5)
    assert [(span.emotion, span.turns) for span in made.course] == [("joy", 2), ("anger", 3)]
    assert summary(ann).text == (
        "Ann: anger since 1:23, confidence 0.60, sentiment -0.5; before that joy."
    )


def test_what_is_not_known_is_not_said() -> None:
    [made] = summary(spoken("A\nnn\x1b", course("joy"), confidence=np.array([np.nan]))).speakers
    assert (made.confidence, made.is_sure, made.since_us) == (None, True, None)
    text = summary(spoken("A\nnn\x1b", course("joy"), confidence=np.array([np.nan]))).text
    assert text == r"A nn\x1b: joy since turn 1, sentiment +0.0."
    unsure = summary(spoken("Ann", course("joy"), confidence=np.array([0.3])))
    assert unsure.text.startswith("Ann: joy (unsure) since turn 1")


def test_who_spoke_last_is_told_of_most() -> None:
    everyone = [spoken(name, course("joy", "joy", "fear", "fear")) for name in "ABCD"]
    texts = [summary(*everyone, max_tokens=most).text for most in range(1, 60)]
    assert all(words(text) <= most for most, text in enumerate(texts, 1))
    assert texts[1] == ""
    assert texts[4] == "A: fear. And 3 more."
    assert texts[7] == "A: fear. B: fear. C: fear. D: fear."
    middle = texts[20]
    assert middle.startswith("A: fear since turn 3, confidence 0.50")
    assert middle.endswith("D: fear.")
    assert texts[-1].count("before that joy") == 4


def test_a_conversation_is_summed_up(bundle: Bundle) -> None:
    """To the token, of any length, and the same each time."""
    conversation = Conversation(bundle)
    assert conversation.summary().text == ""
    for turn in range(40):
        conversation.turn(f"i am {turn % 7}", WORDS[4 + turn % 10], at_us=turn * 1_000_000)
    for most in (1, 5, 20, 100, 1000):
        made = conversation.summary(most)
        assert count_tokens(bundle.tokenizer, made.text) <= most
        assert made == conversation.summary(most)
    assert made.text.count("since 0:") == 7
    assert [each.speaker for each in made.speakers] == [*reversed(conversation.speakers)]
    assert json.loads(json.dumps(made.as_dict())) == made.as_dict()
    assert made.speakers[0].last_us == 39_000_000


def test_of_an_older_bundle_nothing_is_unsure(tmp_path: Path) -> None:
    bundle = Bundle.open(write_tiny_bundle(tmp_path / "older.dcet", lacking=("confidence",)))
    conversation = Conversation(bundle, abstain_below=1)
    conversation.turn("Ann", "happy")
    [made] = conversation.summary().speakers
    assert (made.confidence, made.is_sure) == (None, True)


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "200", None])
def test_tokens_are_a_whole_number(conversation: Conversation, most: Any) -> None:
    with pytest.raises(ConfigError, match="max_tokens: expected a whole number from 1"):
        conversation.summary(most)
