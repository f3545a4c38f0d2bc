"""Groups of parameters that learn at rates of their own, for torch's optimizers."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel


def layer_groups(backbone: PreTrainedModel, rate: float, decay: float) -> list[dict[str, Any]]:
    """Group a pretrained encoder by layer (Howard & Ruder, ACL 2018).

    The top layer learns at `rate`, each other `decay` times as fast as the one above it.
    """
    depth = backbone.config.num_hidden_layers
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in backbone.named_parameters():
        number = next((int(part) for part in name.split(".") if part.isdigit()), None)
        # Embeddings lie below layer 0; whatever else has no number lies on top.
        level = 0 if "embeddings" in name else depth if number is None else number + 1
        groups.setdefault(level, []).append(parameter)
    return [
        {"params": parameters, "lr": rate * decay ** (depth - level)}
        for level, parameters in groups.items()
    ]


def decayed_matrices(
    modules: Sequence[nn.Module], rate: float, decay: float
) -> list[dict[str, Any]]:
    """Group parameters so that matrices and kernels decay, and biases and normalisation do not."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "lr": rate, "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "lr": rate, "weight_decay": 0.0},
    ]
