"""What is fitted to estimates whose truth is known."""

import pytest
import torch
from torch import Tensor

from dcet.data.metrics import confidence_metrics
from dcet.training.dialogue.fit_judgements import fit_confidence, fit_shift
from dcet.training.network.judgements import Confidence, Shift, modality_sets

COUNT = 6000


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def labelled(draw: torch.Generator, *, too_sure: float) -> tuple[Tensor, Tensor]:
    """Estimates that are surer than they should be, and what was true."""
    logits = 2 * torch.randn(COUNT, 7, generator=draw)
    truth = torch.multinomial(logits.softmax(dim=-1), 1, generator=draw)[:, 0]
    return (too_sure * logits).softmax(dim=-1), truth


def ece(confidence: Confidence, estimates: Tensor, truth: Tensor, *others: Tensor) -> float:
    said = confidence(estimates, *others)[:, 0]
    return confidence_metrics(estimates.argmax(dim=-1) == truth, said)["ece"]


def test_confidence_is_calibrated_for_each_set_of_modalities(draw: torch.Generator) -> None:
    estimates, truth = labelled(draw, too_sure=2.0)
    sure, true = labelled(draw, too_sure=0.5)
    estimates, truth = torch.cat([estimates, sure]), torch.cat([truth, true])
    mask = torch.tensor([[1.0, 0, 0], [0, 1, 1]]).repeat_interleave(COUNT, dim=0)
    trust = torch.ones_like(mask)
    confidence = Confidence()
    before = ece(confidence, estimates, truth, mask, trust)
    fit_confidence(confidence, estimates, truth, mask, trust)
    assert before > 0.1
    assert ece(confidence, estimates, truth, mask, trust) < 0.03
    for half in (slice(0, COUNT), slice(COUNT, 2 * COUNT)):
        assert ece(confidence, estimates[half], truth[half], mask[half], trust[half]) < 0.03


def test_what_is_little_trusted_is_believed_less_if_it_is_worth_less(
    draw: torch.Generator,
) -> None:
    estimates, truth = labelled(draw, too_sure=1.0)
    mask = torch.tensor([[0.0, 1, 0]]).expand(COUNT, 3)
    trust = torch.rand(COUNT, 3, generator=draw)
    noise = torch.randint(7, (COUNT,), generator=draw)
    truth = torch.where(trust[:, 1] < 0.3, noise, truth)
    confidence = Confidence()
    fit_confidence(confidence, estimates, truth, mask, trust)
    good, bad = (confidence(estimates, mask, torch.full((COUNT, 3), t)).mean() for t in (1, 0.1))
    assert good - bad > 0.2


def test_a_set_that_was_not_seen_keeps_its_function(draw: torch.Generator) -> None:
    estimates, truth = labelled(draw, too_sure=2.0)
    confidence = Confidence()
    confidence.weight.uniform_(-1, 1)
    before = confidence.weight.clone(), confidence.bias.clone()
    mask = torch.tensor([[1.0, 0, 0]]).expand(COUNT, 3)
    fit_confidence(confidence, estimates, truth, mask, torch.ones_like(mask))
    place = int(modality_sets(mask[:1]).argmax())
    changed = (confidence.weight != before[0]).any(dim=1) | (confidence.bias != before[1])
    assert changed.nonzero()[:, 0].tolist() == [place]


def test_the_function_that_made_the_shifts_is_found(draw: torch.Generator) -> None:
    now, before = ((2 * torch.randn(COUNT, 7, generator=draw)).softmax(dim=-1) for _ in range(2))
    maker, shift = Shift(), Shift()
    maker.weight.fill_(3.0)
    maker.bias.fill_(-1.0)
    shifted = torch.rand(COUNT, 1, generator=draw) < maker(now, before)
    fit_shift(shift, now, before, shifted[:, 0])
    assert shift.weight.item() == pytest.approx(3.0, abs=0.3)
    assert shift.bias.item() == pytest.approx(-1.0, abs=0.2)


def test_where_nobody_spoke_twice_the_shift_stays_neutral() -> None:
    shift, nothing = Shift(), torch.zeros(0, 7)
    fit_shift(shift, nothing, nothing, torch.zeros(0, dtype=torch.bool))
    assert (shift.weight, shift.bias) == (Shift().weight, Shift().bias)


def test_the_same_every_time_is_a_finite_function() -> None:
    now, before = torch.rand(2, 9, 7).softmax(dim=-1)
    shift = Shift()
    fit_shift(shift, now, before, torch.ones(9, dtype=torch.bool))
    assert 0.5 < shift(now, before).min() < 1
