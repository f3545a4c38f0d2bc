"""A check that labels can be learned from."""

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
