"""The teacher's side of distillation: features and logits of a batch."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn


class TeacherAnswer(NamedTuple):
    """A teacher's features and logits for N inputs."""

    features: Tensor  # (N, width)
    logits: Tensor | None  # (N, 7), of a teacher that knows the seven emotions


class Teacher(Protocol):
    """A network that answers a batch of the modality's dataset: texts, `AudioBatch` or faces."""

    width: int  # of its features
    silent: str  # why it gives no logits; empty where it does
    ours: bool  # a student of the same width can take its place
    licences: Mapping[str, str]

    @property
    def network(self) -> nn.Module:
        """What answers, wherever it lies; the inputs lie there too."""
        ...

    def __call__(self, inputs: Any) -> TeacherAnswer: ...
