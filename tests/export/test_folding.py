"""Norms and products before a product become part of it, and nothing else changes."""

import pytest
import torch
from torch import nn

from dcet.export.folding import fold_norms, fold_senses
from dcet.export.graphs import step_shapes
from dcet.training.network.model import State, Step, StepInputs, initial_state
from tests.tiny_training import TINY


def test_the_function_stays_and_the_norm_goes() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(5)
    for values in (*norm.parameters(), norm.running_mean, norm.running_var):
        assert values is not None
        nn.init.uniform_(values, 0.5, 2.0)
    inner = nn.Sequential(norm, nn.Linear(5, 3), nn.GELU(), nn.BatchNorm1d(3))
    module = nn.Sequential(inner, nn.Flatten()).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    x = torch.randn(7, 5)
    folded = fold_norms(module)
    layers = folded[0]
    assert isinstance(layers, nn.Sequential)
    assert [type(layer) for layer in layers] == [
        nn.Identity,
        nn.Linear,
        nn.GELU,
        nn.BatchNorm1d,  # no product comes after it
    ]
    with torch.inference_mode():
        assert folded(x).numpy() == pytest.approx(module(x).numpy(), abs=1e-5)
    after = module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_sense_is_multiplied_once() -> None:
    torch.manual_seed(0)
    step = Step(TINY).eval()
    for parameter in step.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    before = {name: value.clone() for name, value in step.state_dict().items()}
    folded = fold_senses(step)
    inputs = StepInputs(*(torch.rand(shape) for shape in step_shapes(TINY).values()))
    state = State(*(torch.rand(part.shape) for part in initial_state(TINY)))
    with torch.inference_mode():
        for got, expected in zip(folded(inputs, state), step(inputs, state), strict=True):
            assert got.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert folded.fusion.listen.key_value.in_features == TINY.audio_width
    after = step.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
