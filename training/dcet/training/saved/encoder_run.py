"""An encoder is a folder: its weights, with a head that classifies single inputs, and its shape.

config.json          format, modality, shape
encoder/config.json  the text encoder's own (Hugging Face), text alone
model.safetensors    weights in FP16
tokenizer.json       Hugging Face `tokenizers`, text alone
metrics.json         dev figures of these weights
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel

from dcet.runtime.errors import ConfigError
from dcet.runtime.files import atomic_folder, read_json
from dcet.training.network.audio_encoder import AudioConfig, AudioEncoder
from dcet.training.network.face_encoder import FaceConfig, FaceEncoder
from dcet.training.network.speech_detector import SpeechConfig, SpeechDetector
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import checkpoint
from dcet.training.saved.checkpoint import (
    CheckpointError,
    an_object,
    check_format,
    fill,
    without_pooler,
)
from dcet.training.saved.shipped import folder_of
from dcet.training.saved.weights import load_weights, save_weights

FORMAT = 1
Encoder = TextClassifier | AudioEncoder | FaceEncoder | SpeechDetector


KINDS: Mapping[str, type[Encoder]] = {
    "text": TextClassifier,
    "audio": AudioEncoder,
    "face": FaceEncoder,
    "speech": SpeechDetector,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRun:
    """An encoder with its tokenizer, metrics and licences."""

    model: Encoder
    tokenizer: Tokenizer | None  # of text
    metrics: Mapping[str, Any]
    licences: Mapping[str, str]  # of what went in

    @property
    def modality(self) -> str:
        """The modality: 'text', 'audio' or 'face'; 'speech' of a detector of voices."""
        return next(name for name, kind in KINDS.items() if isinstance(self.model, kind))


def save(folder: Path, run: EncoderRun) -> None:
    """Write an encoder; what was at `folder` stays until the new one is complete."""
    model = run.model
    with atomic_folder(folder) as temporary:
        save_weights(model, temporary / "model.safetensors")
        shape: Mapping[str, Any] = {}
        if isinstance(model, TextClassifier):
            assert run.tokenizer is not None
            (temporary / "encoder").mkdir()
            model.text.backbone.config.to_json_file(temporary / "encoder" / "config.json")
            run.tokenizer.save(str(temporary / "tokenizer.json"))
        else:
            shape = dataclasses.asdict(model.config)
        config = {
            "format": FORMAT,
            "modality": run.modality,
            "shape": shape,
            "licences": run.licences,
        }
        for name, value in (("config.json", config), ("metrics.json", run.metrics)):
            text = json.dumps(value, indent=2) + "\n"
            (temporary / name).write_text(text, encoding="utf-8")


def kind_of(name: str | Path) -> str | None:
    """Tell an 'encoder' from a 'checkpoint', a folder, a run or one that ships; else None."""
    try:
        spec = read_json(_inner(folder_of(name)) / "config.json")
    except (OSError, ValueError):
        return None
    if not isinstance(spec, dict) or "format" not in spec:
        return None
    return "encoder" if "modality" in spec else "checkpoint"


def load(folder: Path) -> EncoderRun:
    """Load an encoder's folder or a run that holds one. Raises CheckpointError."""
    folder = _inner(folder)
    try:
        spec = read_json(folder / "config.json")
        check_format(spec, FORMAT, folder)
        model, tokenizer = _empty(spec["modality"], spec["shape"], folder)
        weights = load_weights(folder / "model.safetensors")
        metrics = an_object(read_json(folder / "metrics.json"), "metrics.json")
        licences = an_object(spec["licences"], "licences")
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: not an encoder ({error}); expected a folder with config.json, "
            "model.safetensors and metrics.json, as `dcet-train encoder` writes"
        ) from error
    fill(model, weights, folder)
    return EncoderRun(model=model.eval(), tokenizer=tokenizer, metrics=metrics, licences=licences)


def find_encoder(name: str, modality: str) -> EncoderRun:
    """Load the encoder of `modality` from a run of `dcet-train encoder` or from a checkpoint.

    A checkpoint's text encoder has no head of its own and cannot be loaded. Raises CheckpointError
    or ConfigError.
    """
    if kind_of(name) == "encoder":
        run = load(Path(name))
        if run.modality != modality:
            raise ConfigError(
                f"{name}: expected an encoder of {modality}, got one of {run.modality}"
            )
        return run
    loaded = checkpoint.load(name)
    parts = {"audio": loaded.model.audio, "face": loaded.model.face, "speech": loaded.model.speech}
    model = parts.get(modality)
    if model is None:
        raise ConfigError(f"{name}: this checkpoint has no encoder of {modality} with a head")
    metrics = loaded.metrics.get(modality, {})
    return EncoderRun(model=model, tokenizer=None, metrics=metrics, licences=loaded.licences)


def _empty(
    modality: str, shape: Mapping[str, Any], folder: Path
) -> tuple[Encoder, Tokenizer | None]:
    """Make the network that the weights are loaded into."""
    if modality == "audio":
        return AudioEncoder(AudioConfig(**shape)), None
    if modality == "face":
        return FaceEncoder(FaceConfig(**shape)), None
    if modality == "speech":
        return SpeechDetector(SpeechConfig(**shape)), None
    if modality != "text":
        raise CheckpointError(
            f"{folder}: expected the modality {', '.join(KINDS)}, got {modality!r}"
        )
    config = AutoConfig.from_pretrained(folder / "encoder", local_files_only=True)
    backbone = AutoModel.from_config(config, attn_implementation="eager", dtype=torch.float32)
    tokenizer = Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
    return TextClassifier(without_pooler(backbone)), tokenizer


def _inner(folder: Path) -> Path:
    return folder / "checkpoint" if (folder / "checkpoint").is_dir() else folder
