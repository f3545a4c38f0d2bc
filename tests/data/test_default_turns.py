"""The set of labelled turns that ships."""

import re
from collections import Counter

import numpy as np
import pytest

from dcet.data import default_turns as calibration_turns
from dcet.data.default_turns import PICTURES, default_turns
from dcet.data.turns import check_classes
from dcet.runtime.labels import EMOTIONS

pytestmark = pytest.mark.slow  # it makes the whole set


def test_every_emotion_and_every_gap_occurs() -> None:
    turns = default_turns()
    check_classes(turns, turns.name)
    assert (len(turns.conversations), len(turns)) == (25, 210)
    count = Counter(EMOTIONS[turn.emotion] for turn in turns)
    assert min(count.values()) >= 19
    assert [label for label, _ in count.most_common(2)] == ["neutral", "joy"]
    for part in turns.conversations.values():
        assert 1 < len({turn.speaker for turn in part}) <= 3
    absent = [(turn.text is None, turn.audio is None, not turn.faces) for turn in turns]
    assert 0.02 < np.mean([gone[0] for gone in absent]) < 0.1
    assert 0.05 < np.mean([gone[1] for gone in absent]) < 0.15
    assert 0.1 < np.mean([gone[2] for gone in absent]) < 0.25
    assert not any(all(gone) for gone in absent)


def test_sounds_and_faces_are_what_a_turn_takes() -> None:
    turns = default_turns()
    sounds = [turn.audio for turn in turns if turn.audio is not None]
    assert all(sound.dtype == np.int16 and sound.ndim == 1 for sound in sounds)
    lengths_s = np.array([len(sound) / 16_000 for sound in sounds])
    assert lengths_s.min() > 0.5
    assert (lengths_s > 3).any()  # more than a window
    assert {len(turn.faces) for turn in turns} == {0, *PICTURES}


def test_a_speaker_keeps_voice_and_face_and_shares_them_with_nobody() -> None:
    names = {turn.speaker for turn in default_turns()}
    actors = {name: calibration_turns._cast(name) for name in names}
    assert all(calibration_turns._cast(name) == actor for name, actor in actors.items())
    assert len({actor.voice.pitch_hz for actor in actors.values()}) == len(names)
    assert len({actor.look.skin for actor in actors.values()}) == len(names)


def test_no_turn_is_said_twice() -> None:
    said = [turn.text for turn in default_turns() if turn.text]
    assert len(set(said)) == len(said)
    assert all(re.fullmatch(r"[A-Z].*[.!?]", text) for text in said)
