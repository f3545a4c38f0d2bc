"""Batch norms as part of the product that follows; the exporter folds those after a convolution."""

import copy
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def fold_norms(module: Module) -> Module:
    """A copy in evaluation mode, in which a BatchNorm1d before a Linear is part of it."""
    folded = copy.deepcopy(module).eval()
    for layers in folded.modules():
        if not isinstance(layers, nn.Sequential):
            continue
        for place in range(len(layers) - 1):
            norm, linear = layers[place], layers[place + 1]
            if isinstance(norm, nn.BatchNorm1d) and isinstance(linear, nn.Linear):
                layers[place], layers[place + 1] = nn.Identity(), _fold(norm, linear)
    return folded


@torch.no_grad()
def _fold(norm: nn.BatchNorm1d, linear: nn.Linear) -> nn.Linear:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    folded = nn.Linear(linear.in_features, linear.out_features)
    folded.weight.copy_(linear.weight * scale)
    folded.bias.copy_(linear.bias + linear.weight @ (norm.bias - norm.running_mean * scale))
    return folded
