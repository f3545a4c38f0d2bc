"""Constructed conversations: who is cast, what is drawn, what becomes of it."""

import pytest
import torch

from dcet.training.corpora.speech import Speech
from dcet.training.dialogue.batches import Example
from dcet.training.fusion.clips import Clips, halves
from dcet.training.fusion.encoded_dialogues import WORD_ERROR_RATES, EncodedDialogues
from dcet.training.fusion.generator import MISTAKEN, NEUTRAL, UNMOVED, Generator
from dcet.training.fusion.outcomes import (
    CORRUPT,
    FINE,
    MISSING,
    WRONG,
    Outcomes,
    random_outcomes,
)
from dcet.training.fusion.set_calibration import calibrate_sets
from dcet.training.network.judgements import modality_sets
from dcet.training.saved.checkpoint import Checkpoint
from tests.tiny_training import TINY, with_senses

ACTORS, EMOTIONS, KINDS = 4, 7, 3
SURPRISE = 6
TEXT = torch.zeros(1, TINY.text_width)  # the generator hands it on


def clips(width: int, *, speakers: int, without: int | None = None) -> Clips:
    """One clip of every speaker, emotion and kind; the first figure says which speaker it is."""
    rows = [
        (speaker, emotion, kind)
        for speaker in range(speakers)
        for emotion in range(EMOTIONS)
        for kind in range(KINDS)
        if emotion != without
    ]
    speaker, emotion, kind = torch.tensor(rows).T
    features = torch.randn(len(rows), width)
    features[:, 0] = speaker.float()
    features[:, 1] = emotion.float()
    features[:, 2] = kind.float()
    return Clips(features, 1 - kind / 10, emotion, speaker, kind)


def dialogue(speakers: list[int], emotions: list[int]) -> Example:
    count = len(speakers)
    nothing = torch.zeros(count)
    return Example(
        tokens=tuple((1, 2) for _ in range(count)),
        speakers=torch.tensor(speakers),
        emotion=torch.tensor(emotions),
        sentiment=nothing,
        previous=nothing.long(),
        soft=torch.zeros(count, EMOTIONS),
    )


def generator(without: int | None = None) -> Generator:
    return Generator(
        clips(TINY.audio_width, speakers=ACTORS, without=without),
        clips(TINY.face_width, speakers=1),
        TINY,
    )


@pytest.mark.usefixtures("all_moved")
def test_voices_and_faces_of_few_emotions_calibrate_what_they_can(fresh: Checkpoint) -> None:
    """No turn has a voice and a face here, and one with neither keeps its text."""
    model = with_senses(fresh).model
    voices, faces = (
        clips(width, speakers=1, without=None) for width in (TINY.audio_width, TINY.face_width)
    )
    angry, joyful = (
        Clips(*(getattr(of, name)[of.emotion == emotion] for name in Clips.__slots__))
        for of, emotion in ((voices, 0), (faces, 3))
    )
    made = dialogue([1, 2, 1, 2], [0, 3, 5, 5])
    features = torch.randn(len(WORD_ERROR_RATES), 4, model.config.text_width)
    calibrate_sets(
        model, EncodedDialogues([made], [features]), Generator(angry, joyful, model.config)
    )
    heads = model.step.heads
    assert heads.set_scale.isfinite().all()
    place = int(modality_sets(torch.tensor([0.0, 1.0, 0.0])).argmax())
    assert heads.set_scale[place] != 1
    both = int(modality_sets(torch.tensor([0.0, 1.0, 1.0])).argmax())
    assert heads.set_scale[both] == 1


@pytest.fixture
def all_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every voice and face show what is felt."""
    monkeypatch.setattr("dcet.training.fusion.generator.UNMOVED", 0.0)
    monkeypatch.setattr("dcet.training.fusion.generator.MISTAKEN", 0.0)


@pytest.mark.usefixtures("all_moved")
def test_a_speaker_keeps_an_actor_and_every_turn_its_emotion() -> None:
    made = dialogue([1, 2, 1, 3, 2, 1], [0, 1, 2, 3, 4, 5])
    for _ in range(20):
        inputs = generator().inputs(made, TEXT, Outcomes.same(6))
        actor = inputs.audio[:, 0, 0].tolist()
        assert actor[0] == actor[2] == actor[5]
        assert len({actor[0], actor[1], actor[3]}) == 3
        heard = inputs.audio_mask.bool()
        felt = made.emotion[:, None].expand_as(heard)
        assert (inputs.audio[..., 1][heard] == felt[heard]).all()
        seen = inputs.face_mask.bool()
        assert (inputs.face[..., 1][seen] == made.emotion[:, None].expand_as(seen)[seen]).all()
        assert (inputs.audio[..., 2][heard] == 0).all()
        assert (inputs.quality == 1).all()
        assert (inputs.modality_mask == 1).all()


def test_what_is_masked_is_zero_and_what_is_corrupt_says_so_in_its_quality() -> None:
    made = dialogue([1, 1, 1], [0, 0, 0])
    inputs = generator().inputs(made, TEXT, Outcomes.same(3, audio=CORRUPT, face=MISSING))
    assert inputs.modality_mask.tolist() == [[1, 1, 0]] * 3
    assert not inputs.face.any()
    assert not inputs.face_mask.any()
    assert (inputs.quality[:, 1] < 1).all()
    assert (inputs.quality[:, 2] == 1).all()
    assert (inputs.audio[..., 2][inputs.audio_mask.bool()] > 0).all()


def test_a_wrong_face_is_fine_but_for_its_emotion() -> None:
    torch.manual_seed(0)
    turns = 60
    made = dialogue([1] * turns, [3] * turns)
    inputs = generator().inputs(made, TEXT, Outcomes.same(turns, face=WRONG))
    shown = inputs.face[:, 0, 1]
    assert 0.02 < (shown == 3).float().mean() < 0.4
    assert (inputs.quality[:, 2] == 1).all()


def test_some_voices_and_faces_show_nothing_of_what_is_felt() -> None:
    torch.manual_seed(0)
    turns = 400
    made = dialogue([1] * turns, [3] * turns)
    inputs = generator().inputs(made, TEXT, Outcomes.same(turns))
    voice, face = inputs.audio[:, 0, 1], inputs.face[:, 0, 1]
    for shown in (voice, face):
        assert abs((shown == NEUTRAL).float().mean() - UNMOVED - MISTAKEN / 7) < 0.08
        others = (shown != NEUTRAL) & (shown != 3)
        assert abs(others.float().mean() - MISTAKEN * 5 / 7) < 0.08
    assert 0.1 < ((voice == NEUTRAL) & (face == NEUTRAL)).float().mean() < 0.3  # each by itself


def test_turns_of_one_voice_or_one_face() -> None:
    inputs, emotion = generator().alone(20)
    assert torch.equal(inputs.audio[:20, 0, 1], emotion[:20].float())
    assert torch.equal(inputs.face[20:, 0, 1], emotion[20:].float())
    assert inputs.modality_mask.tolist() == [[0, 1, 0]] * 20 + [[0, 0, 1]] * 20
    assert inputs.audio_mask.sum(dim=1).tolist() == [1] * 20 + [0] * 20
    assert inputs.face_mask.sum(dim=1).tolist() == [0] * 20 + [1] * 20
    assert not inputs.audio[20:].any()
    assert not inputs.face[:20].any()
    assert not inputs.text.any()


@pytest.mark.usefixtures("all_moved")
def test_an_actor_who_lacks_an_emotion_is_not_heard() -> None:
    inputs = generator(without=SURPRISE).inputs(
        dialogue([1, 1], [SURPRISE, 0]), TEXT, Outcomes.same(2)
    )
    assert inputs.modality_mask[:, 1].tolist() == [0, 1]


def test_random_outcomes_leave_something_of_every_turn_and_tries_everything() -> None:
    torch.manual_seed(0)
    outcomes = torch.cat([random_outcomes(10).table for _ in range(200)])
    assert not (outcomes == MISSING).all(dim=1).any()
    for modality, possible in enumerate(({0, 1, 3}, {0, 1, 3}, {0, 1, 2, 3})):
        assert set(outcomes[:, modality].tolist()) == possible
    assert 0.4 < (outcomes == FINE).float().mean() < 0.8


def test_no_speaker_is_in_both_halves() -> None:
    speaker = torch.tensor([0, 0, 1, 2, 1, 3, 4])
    level = torch.rand(7, 64, 94)
    one, other = halves(Speech(level, torch.zeros(7).long(), speaker, None))
    assert not set(one.speaker.tolist()) & set(other.speaker.tolist())
    assert len(one) + len(other) == 7
    assert torch.equal(one.level, level[speaker % 2 == 0])
