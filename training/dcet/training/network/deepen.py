"""A deeper network that says exactly what a shallower one says, to be trained further.

A residual block whose last normalisation is zero changes nothing (Net2Net, Chen et al., ICLR 2016).
"""

import dataclasses
from collections.abc import Sequence

from torch import nn

from dcet.training.network.face_encoder import FaceEncoder
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
