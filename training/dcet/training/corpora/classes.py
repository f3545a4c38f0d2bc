"""How often labels name each emotion, and a check that they can be learned from."""

import torch
from torch import Tensor

from dcet.runtime.errors import OneClassOnly
from dcet.runtime.labels import EMOTIONS


def check_classes(emotion: Tensor, source: str) -> None:
    """Raise OneClassOnly, naming the `source`, where all labels (n,) are the same."""
    if len(emotion.unique()) == 1:
        raise OneClassOnly(
            f"{source}: expected turns of at least two emotions to learn from, got "
            f"{EMOTIONS[int(emotion[0])]} alone"
        )


def label_shares(emotion: Tensor) -> Tensor:
    """Return the share (7,) of each emotion in labels (n,)."""
    return torch.bincount(emotion, minlength=len(EMOTIONS)) / len(emotion)
