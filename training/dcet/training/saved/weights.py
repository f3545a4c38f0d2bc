"""The weights of a network: as a file, safetensors in FP16 or packed in INT8, and their hash."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dcet.runtime.errors import ConfigError

ROW_SCALE = ".row_scale"  # after the name of a matrix: what a row in INT8 is multiplied by
PACKED_FROM = 2**19  # numbers; smaller matrices, such as the memory's, and vectors stay in FP16


def save_weights(model: nn.Module, file: Path, *, packed: bool = False) -> None:
    """Write weights in FP16, half the bytes of FP32.

    packed: large matrices in INT8 with a scale for each row, half the bytes again

    Raises OSError, and ConfigError where they are not finite in FP16.
    """
    weights: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if packed and value.ndim == 2 and value.numel() >= PACKED_FROM:
            scale = value.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
            weights[name] = (value / scale).round().to(torch.int8)
            weights[name + ROW_SCALE] = scale.float()
        else:
            half = value.half() if value.is_floating_point() else value
            weights[name] = half.contiguous()
    if lost := [name for name, value in weights.items() if not value.isfinite().all()]:
        raise ConfigError(
            f"{file.name}: expected weights that FP16 holds, got others in {', '.join(lost):.80}: "
            "training has diverged; begin another run with lower learning rates"
        )
    try:
        save_file(weights, file, metadata={"format": "pt"})
    except SafetensorError as error:  # a full disk, for example
        raise OSError(str(error)) from error
    file.chmod(0o644)  # it is written for its owner alone


def load_weights(file: Path) -> dict[str, Tensor]:
    """Read weights by name, in FP32, packed or not. Raises OSError or SafetensorError."""
    stored = load_file(file)
    scales = {name: stored.pop(name) for name in list(stored) if name.endswith(ROW_SCALE)}
    weights = {
        name: value.float() if value.is_floating_point() else value
        for name, value in stored.items()
    }
    for name, scale in scales.items():
        matrix = name.removesuffix(ROW_SCALE)
        weights[matrix] = weights[matrix].float() * scale
    return weights


def weights_sha256(model: nn.Module) -> str:
    """Hash the weights: name, type, shape and bytes of each tensor, in the order of names."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()
