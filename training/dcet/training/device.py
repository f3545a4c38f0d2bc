"""The device that networks learn and are judged on: found once, and what goes there.

Networks lie on it. Data lies on the CPU, where it is read, drawn and corrupted, so that order and
noise of a run are the same on every device; a batch is moved when a network is about to see it.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dcet.runtime.errors import DcetError

CPU = torch.device("cpu")

T = TypeVar("T")


class DeviceError(DcetError, RuntimeError):
    """The device that was asked for is not there, or has too little memory."""


@contextmanager
def device_for(asked: str) -> Iterator[torch.device]:
    """Yield the device that `find_device` finds, and name what runs out of its memory in the block.

    Raises DeviceError.
    """
    device = find_device(asked)
    try:
        yield device
    except torch.OutOfMemoryError as error:
        reason, _, _ = str(error).partition(". ")  # torch goes on to explain its allocator
        raise DeviceError(
            f"--device {device}: {reason}. Whole epochs are kept: the same command goes on after "
            "the last of them, once other programs have left the device, on another one, or with "
            "--device cpu. If it is too small, begin another run with smaller batches: `batch` or "
            "`dialogues_per_batch` in --config"
        ) from error


def find_device(asked: str) -> torch.device:
    """Find what `auto`, `cpu`, `cuda` or `cuda:N` means here; `auto` prefers CUDA.

    Raises DeviceError where it is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return torch.device("cuda:0") if count else CPU
    device = torch.device(asked)
    if device.type == "cuda" and (device.index or 0) >= count:
        raise DeviceError(
            f"--device {asked}: torch {torch.__version__} finds {count or 'no'} CUDA "
            f"{'device' if count == 1 else 'devices'}; install torch for CUDA and check the driver "
            "with nvidia-smi, or give --device cpu"
        )
    return device


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network, all of which lies on one."""
    return next(network.parameters()).device


def moved(value: T, device: torch.device) -> T:
    """Return the value with all tensors in it on `device`.

    It may be a tensor, or a tuple, a list or a dataclass with tensors in it; what is none of these
    stays as it is.
    """
    there: Any = value
    if isinstance(value, Tensor):
        there = value.to(device)
    elif isinstance(value, tuple | list):
        parts = [moved(part, device) for part in value]
        there = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        there = dataclasses.replace(
            value,
            **{
                field.name: moved(getattr(value, field.name), device)
                for field in dataclasses.fields(value)
            },
        )
    return there  # type: ignore[no-any-return]
