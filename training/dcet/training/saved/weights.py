"""The weights of a network as a file: safetensors, FP16."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save_weights(model: nn.Module, file: Path) -> None:
    """Write weights in FP16, half the bytes of FP32. Raises OSError."""
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
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
