"""The state of a run after a whole epoch: weights, average, optimizer, notes. No pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dcet.runtime.errors import ConfigError
from dcet.runtime.files import atomic_folder


def save_resume(
    folder: Path,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
    notes: Mapping[str, Any],
) -> None:
    """Write the state after a whole epoch; the last one stays until this one is complete.

    Raises WriteError.
    """
    tensors = {f"average/{name}": value for name, value in average.items()}
    for name, module in modules.items():
        tensors |= {f"{name}/{key}": value for key, value in module.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{key}": value for key, value in state.items()}
    with atomic_folder(folder) as temporary:
        try:
            save_file(
                {
                    name: value.detach().clone(memory_format=torch.contiguous_format)
                    for name, value in tensors.items()
                },
                temporary / "state.safetensors",
                metadata={"notes": json.dumps(dict(notes))},
            )
        except SafetensorError as error:  # a full disk, for example
            raise OSError(str(error)) from error


def load_resume(
    folder: Path,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> dict[str, Any]:
    """Put everything back and return the notes: none where there is nothing to resume.

    Raises ConfigError for a state that is damaged or belongs to another network.
    """
    file = folder / "state.safetensors"
    if not file.is_file():
        return {}
    try:
        return _load(file, modules, optimizer, average)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason, _, _ = str(error).partition("\n")  # torch goes on to list all weights
        raise ConfigError(
            f"{file}: this run cannot be resumed from it ({reason}); choose a new --output, or "
            f"remove {folder} to begin again"
        ) from error


def _load(
    file: Path,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> dict[str, Any]:
    parts: dict[str, dict[str, Tensor]] = {}
    with safe_open(file, framework="pt") as opened:
        for key in opened.keys():  # noqa: SIM118  (not a dict)
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = opened.get_tensor(key)
        notes: dict[str, Any] = json.loads(opened.metadata()["notes"])
    for name, module in modules.items():
        module.load_state_dict(parts.get(name, {}))  # not every module has weights
    average.update({key: value.to(average[key].device) for key, value in parts["average"].items()})
    state = optimizer.state_dict()
    for key, value in parts["optimizer"].items():
        number, _, name = key.partition("/")
        state["state"].setdefault(int(number), {})[name] = value
    optimizer.load_state_dict(state)
    return notes
