"""A batch norm before a product becomes part of it."""

import pytest
import torch
from torch import nn

from dcet.export.folding import fold_norms


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
