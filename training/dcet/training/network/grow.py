"""A deeper or wider network that says exactly what a smaller one says, to be trained further.

A residual block whose last normalisation is zero changes nothing, and neither do channels that are
there several times, where what goes out of them is shared among them (Net2Net, Chen et al., ICLR
2016).
"""

import dataclasses
from collections.abc import Sequence
from operator import mod

import torch
from torch import Tensor, nn

from dcet.training.network.face_encoder import FaceConfig, FaceEncoder
from dcet.training.network.residual import ResidualBlock


def deepened(encoder: FaceEncoder, depths: Sequence[int]) -> FaceEncoder:
    """Add blocks at the end of a face encoder's stages, so that they are as deep as `depths`.

    What is returned shares the weights of `encoder`, and is itself where a stage is too deep.
    """
    had = encoder.config.depths
    if len(had) != len(depths) or any(have > want for have, want in zip(had, depths, strict=True)):
        return encoder
    deeper = FaceEncoder(dataclasses.replace(encoder.config, blocks=tuple(depths)))
    kept = iter(encoder.stages)
    place = 0
    for have, want in zip(had, depths, strict=True):
        for number in range(want):
            block = deeper.stages[place]
            assert isinstance(block, ResidualBlock)
            if number < have:
                deeper.stages[place] = next(kept)
            else:
                last = block.residual[-1]
                assert isinstance(last, nn.BatchNorm2d)
                nn.init.zeros_(last.weight)
            place += 1
    deeper.stem, deeper.features, deeper.head = encoder.stem, encoder.features, encoder.head
    return deeper


def widened(encoder: FaceEncoder, config: FaceConfig) -> FaceEncoder:
    """Repeat the channels of a face encoder until it is as wide as `config`.

    Returns `encoder` itself where its channels do not divide the new ones.
    """
    had, want = ((*shape.channels, shape.width) for shape in (encoder.config, config))
    if len(had) != len(want) or any(map(mod, want, had)):
        return encoder
    wider = FaceEncoder(dataclasses.replace(config, blocks=encoder.config.depths))
    weights = encoder.state_dict()
    shapes = {name: weight.shape for name, weight in wider.state_dict().items()}
    wider.load_state_dict(
        {name: _repeated(weight, shapes[name]) for name, weight in weights.items()}
    )
    return wider


def _repeated(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """Repeat outputs, the first dimension, and share what is read of the inputs, the second."""
    if weight.shape == shape:
        return weight
    outputs = shape[0] // len(weight)
    if weight.dim() == 1:
        return weight.tile(outputs)
    inputs = shape[1] // weight.shape[1]
    # Equal shares would give the copies equal gradients, and they would stay copies for ever.
    shares = torch.rand(outputs, len(weight), inputs, *weight.shape[1:]) + 0.5
    shares = shares / shares.sum(dim=2, keepdim=True)
    return (weight[None, :, None] * shares).reshape(*shape)
