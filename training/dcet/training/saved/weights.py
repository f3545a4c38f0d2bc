"""The weights of a network: as a file, safetensors in FP16 or packed in INT8, and their hash."""

import hashlib
from collections.abc import Mapping
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

    packed: large matrices in INT8 with a scale for each row, half their bytes again

    Raises OSError, and ConfigError where they are not finite in FP16.
    """
    whole = model.state_dict()
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in whole.items()
    }
    if lost := [name for name, value in weights.items() if not value.isfinite().all()]:
        raise ConfigError(
            f"{file.name}: expected weights that FP16 holds, got others in {', '.join(lost):.80}: "
            "training has diverged; begin another run with lower learning rates"
        )
    if packed:
        for name, value in whole.items():
            if value.ndim == 2 and value.numel() >= PACKED_FROM:
                weights[name], weights[name + ROW_SCALE] = _in_rows(value)
    try:
        save_file(weights, file, metadata={"format": "pt"})
    except SafetensorError as error:  # a full disk, for example
        raise OSError(str(error)) from error
    file.chmod(0o644)  # it is written for its owner alone


def load_weights(file: Path) -> dict[str, Tensor]:
    """Read weights by name, in FP32, packed or not.

    Raises OSError, SafetensorError, and ValueError for a packed matrix without its scale.
    """
    stored = load_file(file)
    packed = [name for name, value in stored.items() if value.dtype == torch.int8]
    for name in packed:
        stored[name] = stored[name] * _scale_of(name, stored)
    for name in packed:
        del stored[name + ROW_SCALE]
    return {
        name: value.float() if value.is_floating_point() else value
        for name, value in stored.items()
    }


def _in_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    scale = matrix.float().abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
    return (matrix / scale).round().to(torch.int8), scale


def _scale_of(name: str, stored: Mapping[str, Tensor]) -> Tensor:
    """Return the scale (rows, 1) of a packed matrix. Raises ValueError."""
    scale, rows = stored.get(name + ROW_SCALE), len(stored[name])
    if scale is None:
        raise ValueError(f"{name} is in INT8, and its scale, {name}{ROW_SCALE}, is missing")
    is_finite = scale.is_floating_point() and bool(scale.isfinite().all())
    if scale.shape != (rows, 1) or not is_finite:
        raise ValueError(
            f"{name}{ROW_SCALE}: expected finite numbers of shape ({rows}, 1), got {scale.dtype} "
            f"{tuple(scale.shape)}{'' if is_finite else ' that are not'}"
        )
    return scale


def weights_sha256(model: nn.Module) -> str:
    """Hash the weights: name, type, shape and bytes of each tensor, in the order of names."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()
