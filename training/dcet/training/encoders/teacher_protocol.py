"""What a teacher is: it says what it makes of a batch."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class Opinion(NamedTuple):
    """What a teacher makes of N inputs."""

    features: Tensor  # (N, width)
    logits: Tensor | None  # (N, 7), of those who know the seven emotions


class Teacher(Protocol):
    """Takes a batch as the modality's material shows it: texts, `Heard`, or grey faces."""

    width: int  # of its features
    ours: bool  # a student of the same width can take its place
    licences: Mapping[str, str]

    def __call__(self, shown: Any) -> Opinion: ...
