"""Layer-wise learning rates of a pretrained encoder (Howard & Ruder, ACL 2018)."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel


def layer_groups(backbone: PreTrainedModel, rate: float, decay: float) -> list[dict[str, Any]]:
    """Optimizer groups: the top learns at `rate`, each layer `decay` times as fast as above it."""
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
