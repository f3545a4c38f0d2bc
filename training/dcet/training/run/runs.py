"""What every training has in common: its folder, its schedule, the average of its weights."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dcet.runtime.errors import ConfigError
from dcet.runtime.files import atomic_path, write_json

Progress = Callable[[int, int, str], None]  # updates done, updates in all, what happened


def claim(run: Path, config: Any) -> None:
    """Write the configuration into a new run; a run begun with another one is not continued."""
    asked = dataclasses.asdict(config)
    file = run / "config.json"
    if file.is_file():
        begun = json.loads(file.read_text(encoding="utf-8"))
        if begun != json.loads(json.dumps(asked)):
            different = [
                key for key in asked if begun.get(key) != json.loads(json.dumps(asked[key]))
            ]
            raise ConfigError(
                f"{run} was begun with another {', '.join(different)}; resume it with the same "
                "options or choose a new --output"
            )
    else:
        run.mkdir(parents=True, exist_ok=True)
        write_json(file, asked)


def log(file: Path, epoch: int, figures: Mapping[str, Any]) -> None:
    """Add a line, the place of which is that of the epoch, however often it was begun."""
    lines = file.read_text(encoding="utf-8").splitlines()[:epoch] if file.is_file() else []
    lines.append(json.dumps({"epoch": epoch + 1, **figures}))
    with atomic_path(file) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def schedule(done: float, warmup: float) -> float:
    """Linear warm-up, then a cosine to zero; `done` in [0, 1]."""
    if done < warmup:
        return done / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def average_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights, to be moved along by `follow`."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def follow(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """Move the average of the weights by one update."""
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)
