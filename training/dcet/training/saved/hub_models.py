"""Models of Hugging Face, by hub id or folder, and how their inputs are prepared."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.errors import ConfigError

PICTURE_SIDE = 224  # of models that do not say what they want
FAULTS = (OSError, ValueError, KeyError, ImportError, SafetensorError)


def hub_config(name: str, setting: str) -> PretrainedConfig:
    """Read the shape of a model. Raises ConfigError, naming the `setting`."""
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(name)
    except FAULTS as error:
        raise refused(name, setting, error) from error
    return config


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
        f"{setting} {name}: {error}; give `default`, `large`, a checkpoint, a run, or a Hugging "
        "Face model by id or folder"
    )


def expect_waveforms(
    name: str, setting: str, config: PretrainedConfig, settings: Mapping[str, Any]
) -> None:
    """Raise ConfigError unless a model takes waveforms of 16 kHz."""
    if not hasattr(config, "conv_stride"):
        raise ConfigError(
            f"{setting} {name}: expected a model that takes waveforms, as Wav2Vec2, HuBERT and "
            f"WavLM do, got {config.model_type}"
        )
    if settings.get("sampling_rate", SAMPLE_RATE_HZ) != SAMPLE_RATE_HZ:
        raise ConfigError(
            f"{setting} {name}: expected a model for {SAMPLE_RATE_HZ} Hz, got "
            f"{settings['sampling_rate']} Hz"
        )


def picture_side(config: PretrainedConfig, settings: Mapping[str, Any]) -> int:
    """Return the height and width of the pictures that a model takes."""
    size = settings.get("size", getattr(config, "image_size", PICTURE_SIDE))
    if isinstance(size, dict):
        size = size.get("height", size.get("shortest_edge", PICTURE_SIDE))
    return int(size)


def picture_norm(settings: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what pictures (n, 3, h, w) in [0, 1] are shifted and divided by: (3, 1, 1) both."""
    normalises = settings.get("do_normalize", "image_mean" in settings)
    mean = torch.tensor(settings["image_mean"] if normalises else [0.0] * 3)
    spread = torch.tensor(settings["image_std"] if normalises else [1.0] * 3)
    return mean[:, None, None], spread[:, None, None]


def short_name(name: str) -> str:
    """Name a model in the manifest: a hub id as it is, a folder by its last part."""
    return Path(name).name if Path(name).exists() else name
