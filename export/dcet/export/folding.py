"""Folding of norms and products that follow each other into one product.

The exporter itself folds a batch norm after a convolution.
"""

import copy
from typing import TypeVar

import torch
from torch import nn

from dcet.training.network.model import Attention, Step

Module = TypeVar("Module", bound=nn.Module)


def fold_norms(module: Module) -> Module:
    """Return a copy in evaluation mode, in which a BatchNorm1d before a Linear is part of it."""
    folded = copy.deepcopy(module).eval()
    for layers in folded.modules():
        if not isinstance(layers, nn.Sequential):
            continue
        for place in range(len(layers) - 1):
            norm, linear = layers[place], layers[place + 1]
            if isinstance(norm, nn.BatchNorm1d) and isinstance(linear, nn.Linear):
                layers[place], layers[place + 1] = nn.Identity(), _fold(norm, linear)
    return folded


def fold_senses(step: Step) -> Step:
    """Return a copy in evaluation mode, in which audio and face become keys and values in one
    product.

    A norm, a product to the step's width and one to keys and values follow each other, with nothing
    in between. It saves a twelfth of the step's weights, and some 5 % of its time.
    """
    folded = copy.deepcopy(step).eval()
    fusion = folded.fusion
    fusion.audio = _into_keys(fusion.audio, fusion.listen)
    fusion.face = _into_keys(fusion.face, fusion.look)
    return folded


@torch.no_grad()
def _into_keys(sense: nn.Sequential, attention: Attention) -> nn.Sequential:
    """Fold a norm's scale and a product into the attention's keys and values; return the rest."""
    norm, linear = sense
    assert isinstance(norm, nn.LayerNorm)
    assert isinstance(linear, nn.Linear)
    keys = attention.key_value
    weight, bias = keys.weight @ linear.weight, keys.weight @ linear.bias + keys.bias
    attention.key_value = nn.Linear(linear.in_features, keys.out_features)
    attention.key_value.weight.copy_(weight * norm.weight)
    attention.key_value.bias.copy_(bias + weight @ norm.bias)
    return nn.Sequential(nn.LayerNorm(linear.in_features, norm.eps, elementwise_affine=False))


@torch.no_grad()
def _fold(norm: nn.BatchNorm1d, linear: nn.Linear) -> nn.Linear:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    folded = nn.Linear(linear.in_features, linear.out_features)
    folded.weight.copy_(linear.weight * scale)
    folded.bias.copy_(linear.bias + linear.weight @ (norm.bias - norm.running_mean * scale))
    return folded
