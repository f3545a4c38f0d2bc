"""Models of Hugging Face, by hub id or folder, and how their inputs are prepared."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModel, PreTrainedModel
from transformers.utils.hub import cached_file

from dcet.runtime.errors import ConfigError

FAULTS = (OSError, ValueError, KeyError, ImportError, SafetensorError)


def hub_model(name: str, setting: str, kind: type[Any] = AutoModel) -> PreTrainedModel:
    """Load a model in float32, in evaluation mode. Raises ConfigError, naming the `setting`."""
    try:
        model: PreTrainedModel = kind.from_pretrained(name, dtype=torch.float32)
    except FAULTS as error:
        raise refused(name, setting, error) from error
    model.eval()
    return model


def hub_settings(name: str, setting: str) -> dict[str, Any]:
    """Read how inputs are to be prepared, where the model says so. Raises ConfigError."""
    try:
        file = cached_file(
            name, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False
        )
        return {} if file is None else json.loads(Path(file).read_text(encoding="utf-8"))
    except FAULTS as error:
        raise refused(name, setting, error) from error


def refused(name: str, setting: str, error: Exception) -> ConfigError:
    """Make the error of a model that cannot be loaded."""
    return ConfigError(
        f"{setting} {name}: {error}; give a Hugging Face model by id or folder, or for an encoder "
        "of DCET's own a checkpoint, a run, or `default`"
    )


def picture_norm(settings: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what pictures (n, 3, h, w) in [0, 1] are shifted and divided by: (3, 1, 1) both."""
    normalises = settings.get("do_normalize", "image_mean" in settings)
    mean = torch.tensor(settings["image_mean"] if normalises else [0.0] * 3)
    spread = torch.tensor(settings["image_std"] if normalises else [1.0] * 3)
    return mean[:, None, None], spread[:, None, None]


def short_name(name: str) -> str:
    """Name a model in the manifest: a hub id as it is, a folder by its last part."""
    return Path(name).name if Path(name).exists() else name
