"""What all encoders of a build have in common: a layer of a model, and where the weights are."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from dcet.runtime.errors import ConfigError


class Described(Protocol):
    """An encoder, as the manifest describes it."""

    @property
    def model(self) -> nn.Module: ...  # whose weights are hashed
    @property
    def kind(self) -> str: ...
    @property
    def width(self) -> int: ...  # of its features
    @property
    def layer(self) -> int: ...
    @property
    def pooling(self) -> str: ...
    @property
    def step_us(self) -> int | None: ...  # of its sequences, where they lie on steps
    @property
    def licences(self) -> Mapping[str, str]: ...


def hidden_layer(outputs: Any, layer: int, setting: str) -> Tensor:
    """Return one of the hidden states of a model's outputs. Raises ConfigError."""
    states = outputs.hidden_states
    if not -len(states) <= layer < len(states):
        raise ConfigError(
            f"{setting}: expected a layer from {-len(states)} to {len(states) - 1} of this model, "
            f"got {layer}"
        )
    chosen: Tensor = states[layer]
    return chosen
