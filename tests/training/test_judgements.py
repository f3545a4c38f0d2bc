"""What the step says about its own estimate."""

import pytest
import torch

from dcet.training.network.judgements import Confidence, Shift, modality_sets

SURE = torch.eye(7)
UNSURE = torch.full((1, 7), 1 / 7)


def test_an_unfitted_confidence_is_the_top_probability() -> None:
    probabilities = torch.randn(50, 7).softmax(dim=-1)
    said = Confidence()(probabilities, torch.ones(50, 3), torch.rand(50, 3))
    assert torch.allclose(said, probabilities.amax(dim=-1, keepdim=True), atol=1e-5)


def test_an_absent_modality_has_no_say_in_the_confidence() -> None:
    confidence = Confidence()
    confidence.weight.uniform_(-1, 1)
    mask, trust = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.5, 0.5]])
    plain = confidence(UNSURE, mask, trust)
    assert torch.equal(confidence(UNSURE, mask, torch.tensor([[0.5, 0.0, 0.5]])), plain)
    assert not torch.equal(confidence(UNSURE, mask, torch.tensor([[0.5, 0.5, 0.1]])), plain)


@pytest.mark.parametrize("trust", [0.0, 1.0])
def test_judgements_are_probabilities_at_every_corner(trust: float) -> None:
    for probabilities in (SURE, UNSURE):
        count = len(probabilities)
        said = Confidence()(probabilities, torch.ones(count, 3), torch.full((count, 3), trust))
        assert ((said > 0) & (said < 1)).all()
        for before in (SURE, torch.zeros(7, 7)):
            changed = Shift()(probabilities, before)
            assert ((changed > 0) & (changed < 1)).all()


def test_unlike_estimates_are_a_shift_and_like_ones_are_none() -> None:
    shift = Shift()
    assert (shift(SURE, SURE) < 0.2).all()
    assert (shift(SURE, SURE.roll(1, dims=0)) > 0.8).all()
    assert shift(SURE[:1], (SURE[:1] + SURE[1:2]) / 2).item() == pytest.approx(0.5)


def test_every_set_of_modalities_has_a_place_of_its_own() -> None:
    masks = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    sets = modality_sets(masks)
    assert torch.equal(sets.sum(dim=1), torch.ones(8))
    assert len(sets.argmax(dim=1).unique()) == 8


def test_no_loss_moves_them() -> None:
    assert not list(Confidence().parameters())
    assert not list(Shift().parameters())
