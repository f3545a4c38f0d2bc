"""The network's promises: streaming equals the whole, causality, memory, masks, fixed cost."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import MODALITIES
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import Example, examples
from dcet.training.dialogue.forward import predict
from dcet.training.network.judgements import modality_sets
from dcet.training.network.model import (
    SPEAKER_STATES,
    Dcet,
    Fusion,
    FusionInputs,
    ModelConfig,
    State,
    Step,
    StepInputs,
    initial_state,
)
from dcet.training.network.text_batches import encode_tokens
from dcet.training.saved.checkpoint import Checkpoint
from tests.tiny_training import TINY

MASKS = [chosen for size in (1, 2, 3) for chosen in combinations(range(3), size)]
TURNS = 8  # more than the rings of TINY hold, so that the first turn is past their reach
EMPTY = initial_state(TINY)
OWN = len(SPEAKER_STATES)


@pytest.fixture
def model(fresh: Checkpoint) -> Dcet:
    return fresh.model


@pytest.fixture
def utterances() -> Tensor:
    """(2, TURNS, d) fused."""
    return torch.randn(2, TURNS, TINY.width, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def speakers() -> Tensor:
    return torch.tensor([[1, 2, 1, 1, 3, 2, 1, 3], [1, 1, 2, 2, 1, 2, 1, 1]])


class Host:
    """Keeps the state as docs/bundle-format.md asks of every host."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.scene = EMPTY[OWN:]
        self.people: dict[int, tuple[Tensor, ...]] = {}

    @torch.inference_mode()
    def turn(self, features: dict[str, Tensor], speaker: int) -> tuple[Tensor, ...]:
        """Probabilities, sentiment, shift, modality weights and confidence."""
        state = State(*(*self.people.get(speaker, EMPTY[:OWN]), *self.scene))
        number = torch.tensor([[float(speaker)]])
        outputs = self.step(StepInputs(**features, speaker=number), state)
        estimates, states = outputs[: -len(State._fields)], outputs[-len(State._fields) :]
        self.people[speaker], self.scene = states[:OWN], states[OWN:]
        return tuple(estimates)


def features(text: Tensor) -> dict[str, Tensor]:
    """One turn's inputs of the step, text alone."""
    return {
        "text": text,
        "audio": torch.zeros(1, 3, TINY.audio_width),
        "audio_mask": torch.zeros(1, 3),
        "face": torch.zeros(1, 3, TINY.face_width),
        "face_mask": torch.zeros(1, 3),
        "modality_mask": torch.tensor([[1.0, 0.0, 0.0]]),
        "quality": torch.ones(1, 3),
        "episodes": torch.zeros(1, 2, 16),
        "episodes_mask": torch.zeros(1, 2),
    }


def stream(model: Dcet, item: Example) -> Tensor:
    """(T, 9): probabilities, sentiment and shift of a dialogue that is heard turn by turn."""
    host, rows = Host(model.step), []
    for turn, tokens in enumerate(item.tokens):
        with torch.inference_mode():
            text = encode_tokens(model, [tokens])
        outputs = host.turn(features(text), int(item.speakers[turn]))
        rows.append(torch.cat(outputs[:3], dim=-1)[0])
    return torch.stack(rows)


def test_turn_by_turn_equals_whole_padded_dialogues(fresh: Checkpoint, meld: Path) -> None:
    items = examples(Corpus.of_meld(meld, "train"), fresh.tokenizer)
    assert len({len(item.tokens) for item in items}) > 3  # so there is padding
    whole = predict(fresh.model, items)
    streamed = torch.cat([stream(fresh.model, item) for item in items]).numpy()
    assert streamed[:, :7] == pytest.approx(whole.probabilities, abs=1e-5)
    assert streamed[:, 7] == pytest.approx(whole.sentiment, abs=1e-5)
    assert streamed[:, 8] == pytest.approx(whole.shift, abs=1e-5)
    assert whole.probabilities.std(axis=0).min() > 1e-3  # or equality would say nothing


def test_a_speakers_estimate_is_kept_until_their_next_turn(model: Dcet) -> None:
    host = Host(model.step)
    made = {
        speaker: host.turn(features(torch.randn(1, 24)), speaker)[0] for speaker in (1, 2, 1, 3)
    }
    for speaker, probabilities in made.items():
        kept = dict(zip(SPEAKER_STATES, host.people[speaker], strict=True))
        assert torch.equal(kept["speaker_estimate"], probabilities)


@torch.inference_mode()
def test_no_later_turn_changes_an_earlier_context(
    model: Dcet, utterances: Tensor, speakers: Tensor
) -> None:
    before = model.converse(utterances, speakers)
    for turn in range(1, TURNS):
        changed, numbers = utterances.clone(), speakers.clone()
        changed[:, turn:] += 3
        numbers[:, turn:] = 1 + numbers[:, turn:] % 3
        after = model.converse(changed, numbers)
        assert torch.equal(after[:, :turn], before[:, :turn])
        assert not torch.allclose(after[:, turn], before[:, turn], atol=1e-3)


def test_what_left_the_rings_still_reaches_the_last_turn(model: Dcet, utterances: Tensor) -> None:
    """Seven turns ago lies past both rings: memory tokens alone can carry it."""
    utterances.requires_grad_()
    alone = torch.ones(2, TURNS, dtype=torch.long)
    model.converse(utterances, alone)[:, -1].square().sum().backward()
    assert utterances.grad is not None
    assert (utterances.grad[:, 0].norm(dim=-1) > 1e-6).all()
    memory = model.step.memory
    for module in (memory.write, memory.gate):
        for parameter in module.parameters():
            assert parameter.grad is not None
            assert parameter.grad.norm() > 1e-6


def test_a_memory_that_is_reset_carries_nothing(model: Dcet, utterances: Tensor) -> None:
    utterances.requires_grad_()
    alone = torch.ones(2, TURNS, dtype=torch.long)
    model.converse(utterances, alone, remember=False)[:, -1].square().sum().backward()
    assert utterances.grad is not None
    assert not utterances.grad[:, :-1].any()


@torch.inference_mode()
def test_resetting_the_memory_changes_later_turns_only(
    model: Dcet, utterances: Tensor, speakers: Tensor
) -> None:
    with_memory = model.converse(utterances, speakers)
    without = model.converse(utterances, speakers, remember=False)
    assert torch.equal(with_memory[:, 0], without[:, 0])
    difference = (with_memory - without)[:, 1:].norm(dim=-1)
    assert (difference > 1e-3).all()


@torch.inference_mode()
def test_speakers_numbers_are_only_compared(
    model: Dcet, utterances: Tensor, speakers: Tensor
) -> None:
    other = torch.tensor([0, 3, 1, 2])[speakers]
    contexts = [model.converse(utterances, numbers) for numbers in (speakers, other)]
    assert torch.equal(*contexts)


@torch.inference_mode()
def test_who_speaks_matters(model: Dcet, utterances: Tensor, speakers: Tensor) -> None:
    alone = model.converse(utterances, torch.ones_like(speakers))
    assert not torch.allclose(alone[:, -1], model.converse(utterances, speakers)[:, -1], atol=1e-3)


def test_swapping_two_speakers_swaps_their_states(model: Dcet) -> None:
    texts = torch.randn(6, 1, model.config.text_width)
    one, other = Host(model.step), Host(model.step)
    for text, speaker in zip(texts, (1, 2, 2, 1, 2, 1), strict=True):
        outputs = one.turn(features(text), speaker)
        swapped = other.turn(features(text), 3 - speaker)
        assert all(map(torch.equal, outputs, swapped))
    for speaker in (1, 2):
        assert all(map(torch.equal, one.people[speaker], other.people[3 - speaker]))
    heard = one.scene[2]
    assert torch.equal(3 - heard, other.scene[2])


def random_senses(batch: int = 4) -> list[Tensor]:
    """Inputs of the fusion up to `face_mask`."""
    draw = torch.Generator().manual_seed(3)
    return [
        torch.randn(batch, 24, generator=draw),
        torch.randn(batch, 3, TINY.audio_width, generator=draw),
        torch.ones(batch, 3),
        torch.randn(batch, 3, TINY.face_width, generator=draw),
        torch.ones(batch, 3),
    ]


def mask_of(present: Sequence[int], batch: int = 4) -> Tensor:
    return torch.tensor([[float(i in present) for i in range(3)]]).expand(batch, 3)


@pytest.fixture
def fusion(model: Dcet) -> Fusion:
    return model.step.fusion


@pytest.mark.parametrize("present", MASKS, ids=lambda p: "-".join(MODALITIES[i] for i in p))
@torch.inference_mode()
def test_masked_modalities_have_no_say(fusion: Fusion, present: Sequence[int]) -> None:
    text, audio, audio_mask, face, face_mask = random_senses()
    mask = mask_of(present)
    quality = torch.full((4, 3), 0.7)
    fusion.learn_the_familiar(
        "audio", torch.randn(50, TINY.audio_width), torch.randn(50, TINY.audio_width)
    )
    fused = fusion(FusionInputs(text, audio, audio_mask, face, face_mask, mask, quality))
    weights = fused.weights
    assert all(torch.isfinite(part).all() for part in fused)
    assert (fused.familiarity[mask == 0] == 1).all()
    assert torch.allclose(weights.sum(dim=-1), torch.ones(4))
    assert (weights[mask == 0] == 0).all()
    assert (weights[mask == 1] > 0).all()
    senses = [text, audio, face]
    for absent in set(range(3)) - set(present):
        senses[absent] = senses[absent] * -50 + 9
    text, audio, face = senses
    again = fusion(FusionInputs(text, audio, audio_mask, face, face_mask, mask, quality))
    assert all(torch.equal(*pair) for pair in zip(fused, again, strict=True))


@torch.inference_mode()
def test_what_a_sequence_masks_has_no_say(fusion: Fusion) -> None:
    text, audio, audio_mask, face, face_mask = random_senses()
    audio_mask[:, 2] = face_mask[:, 1:] = 0
    mask, quality = mask_of((0, 1, 2)), torch.ones(4, 3)
    before = fusion(FusionInputs(text, audio, audio_mask, face, face_mask, mask, quality))
    audio[:, 2], face[:, 1:] = 40, -40
    after = fusion(FusionInputs(text, audio, audio_mask, face, face_mask, mask, quality))
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    audio[:, 1] = 40
    heard = fusion(FusionInputs(text, audio, audio_mask, face, face_mask, mask, quality))
    assert not torch.allclose(before.utterance, heard.utterance, atol=1e-3)


@pytest.mark.parametrize("modality", range(3), ids=MODALITIES)
@torch.inference_mode()
def test_lower_quality_lowers_the_weight(fusion: Fusion, modality: int) -> None:
    senses, mask = random_senses(), mask_of((0, 1, 2))
    weights = []
    for value in (1.0, 0.5, 0.1, 0.0):
        quality = torch.ones(4, 3)
        quality[:, modality] = value
        weights.append(fusion(FusionInputs(*(*senses, mask, quality))).weights[:, modality])
    assert (torch.stack(weights).diff(dim=0) < 0).all()
    assert (weights[-1] > 0).all()  # bad is not absent


@torch.inference_mode()
def test_what_is_strange_weighs_less_and_says_so(fusion: Fusion) -> None:
    senses, mask = random_senses(), mask_of((0, 1, 2))
    inputs = FusionInputs(*(*senses, mask, torch.ones(4, 3)))
    plain = fusion(inputs)
    assert torch.equal(plain.familiarity, torch.ones(4, 3))  # nothing was learned yet
    near = 1 + torch.randn(100, TINY.face_width) * 0.01
    fusion.learn_the_familiar("face", near, near)
    strange = fusion(inputs)
    assert (strange.familiarity[:, 2] < 0.1).all()
    assert (strange.weights[:, 2] < plain.weights[:, 2]).all()


@torch.inference_mode()
def test_a_voice_or_a_face_goes_straight_to_the_heads(fusion: Fusion) -> None:
    senses = random_senses()
    for present in MASKS:
        fused = fusion(FusionInputs(*(*senses, mask_of(present), torch.ones(4, 3))))
        said = {1: senses[1], 2: senses[3]}
        expected = sum(
            (
                fused.weights[:, i, None] * fusion.direct[MODALITIES[i]](said[i]).mean(dim=1)
                for i in present
                if i
            ),
            torch.zeros(4, 7),
        )
        assert torch.allclose(fused.direct, expected, atol=1e-5)


@torch.inference_mode()
def test_the_calibration_of_a_set_leaves_the_others_alone(model: Dcet) -> None:
    heads, context = model.step.heads, torch.randn(4, TINY.width)
    direct = torch.zeros(4, 7)
    before = {p: heads(context, direct, mask_of(p))[0] for p in MASKS}
    place = int(modality_sets(mask_of((1, 2)))[0].argmax())
    heads.set_bias[place, 2], heads.set_scale[place] = 5.0, 0.5
    for present, logits in before.items():
        after = heads(context, direct, mask_of(present))[0]
        assert torch.equal(after, logits) == (present != (1, 2))
    moved = torch.zeros(7)
    moved[2] = 5 * float(heads.calibration_scale)
    after = heads(context, direct, mask_of((1, 2)))[0]
    assert torch.allclose(after, (before[1, 2] + moved) * 0.5, atol=1e-5)


@torch.inference_mode()
def test_an_episode_counts_only_where_the_mask_says_so(model: Dcet) -> None:
    turn = features(torch.randn(1, 24))
    plain = Host(model.step).turn(turn, 1)[0]
    turn["episodes"] = torch.randn(1, 2, 16)
    assert torch.equal(Host(model.step).turn(turn, 1)[0], plain)
    turn["episodes_mask"] = torch.ones(1, 2)
    assert not torch.allclose(Host(model.step).turn(turn, 1)[0], plain, atol=1e-4)


def test_state_stays_as_large_as_it_was(model: Dcet) -> None:
    host = Host(model.step)
    shapes = [value.shape for value in EMPTY]
    for number in range(20):
        probabilities, *_ = host.turn(features(torch.randn(1, 24)), 1 + number % 3)
        assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
        state = (*host.people[1 + number % 3], *host.scene)
        assert [value.shape for value in state] == shapes
        assert all(torch.isfinite(value).all() for value in state)


@torch.inference_mode()
def test_the_rings_hold_the_last_turns_in_order(model: Dcet) -> None:
    host = Host(model.step)
    for speaker in (1, 2, 3, 1):
        host.turn(features(torch.randn(1, 24)), speaker)
    assert host.scene[2].tolist() == [[2, 3, 1]]
    assert [host.people[speaker][2].tolist() for speaker in (1, 2)] == [[[1, 1]], [[0, 1]]]
    assert torch.equal(host.people[1][1][0, -1], host.scene[1][0, -1])


def test_batch_of_one_dialogue_and_of_many_agree(
    model: Dcet, utterances: Tensor, speakers: Tensor
) -> None:
    with torch.inference_mode():
        both = model.converse(utterances, speakers)
        each = [model.converse(utterances[i : i + 1], speakers[i : i + 1]) for i in range(2)]
    assert torch.allclose(both, torch.cat(each), atol=1e-5)


def test_width_must_be_a_multiple_of_heads() -> None:
    with pytest.raises(ConfigError, match=r"width 16 .* heads 3"):
        replace(TINY, heads=3)
    assert ModelConfig().width % ModelConfig().heads == 0
