"""The weights of a network: as a file, safetensors in FP16, and their hash."""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dcet.runtime.errors import ConfigError


def save_weights(model: nn.Module, file: Path) -> None:
    """Write weights in FP16, half the bytes of FP32.

    Raises OSError, and ConfigError where they are not finite in FP16.
    """
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
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
    """Read weights by name, in FP32. Raises OSError or SafetensorError."""
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_file(file).items()
    }


def weights_sha256(model: nn.Module) -> str:
    """Hash the weights: name, type, shape and bytes of each tensor, in the order of names."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()
