"""A checkpoint is a folder: weights, two configurations and a tokenizer. No pickle, no code.

config.json          format, shapes of the step, the audio and face encoders and the speech detector
encoder/config.json  the text encoder's own (Hugging Face)
model.safetensors    weights in FP16, or packed: large matrices in INT8
tokenizer.json       Hugging Face `tokenizers`
metrics.json         dev figures of these weights
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel

from dcet.runtime.errors import ConfigError, DcetError
from dcet.runtime.files import atomic_folder, read_json
from dcet.training.device import CPU
from dcet.training.network.audio_encoder import AudioConfig, AudioEncoder
from dcet.training.network.face_encoder import FaceConfig, FaceEncoder
from dcet.training.network.model import Dcet, ModelConfig
from dcet.training.network.speech_detector import SpeechConfig, SpeechDetector
from dcet.training.saved.shipped import folder_of
from dcet.training.saved.weights import load_weights, save_weights

FORMAT = 4
MAX_TOKENS = 128


class CheckpointError(DcetError, ValueError):
    """A checkpoint cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A model with its tokenizer, metrics, licences and model card."""

    model: Dcet
    tokenizer: Tokenizer
    metrics: Mapping[str, Any]
    trained: tuple[str, ...]  # modalities
    licences: Mapping[str, str]  # of what went in
    card: str = "# Model card\n\nThis checkpoint came without one.\n"
    sha256: str = ""  # of model.safetensors, once saved


def from_encoder(text_encoder: str, config: ModelConfig) -> tuple[Dcet, Tokenizer]:
    """Make a new model around a Hugging Face encoder, by hub id or folder."""
    backbone, tokenizer = pretrained(text_encoder, "--text-encoder")
    config = dataclasses.replace(config, text_width=backbone.config.hidden_size)
    return Dcet(config, without_pooler(backbone)), tokenizer


def pretrained(
    name: str, option: str, kind: type[Any] = AutoModel
) -> tuple[PreTrainedModel, Tokenizer]:
    """Load a Hugging Face text model with its tokenizer, by hub id or folder.

    Raises ConfigError, naming the `option` that asked for it.
    """
    try:
        # Plain attention exports as products and softmax; fused kernels do not reach older
        # TensorRT.
        model = kind.from_pretrained(name, attn_implementation="eager", dtype=torch.float32)
        fast = AutoTokenizer.from_pretrained(name, use_fast=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ConfigError(
            f"{option} {name}: {error}; give a Hugging Face id or a folder with "
            "config.json, weights and tokenizer.json"
        ) from error
    if not fast.is_fast:
        raise ConfigError(f"{option} {name}: it has no fast tokenizer (tokenizer.json)")
    if set(fast.get_vocab()) <= set(fast.all_special_tokens):
        raise ConfigError(
            f"{option} {name}: its tokenizer knows no words; "
            "put the encoder's tokenizer.json next to its weights"
        )
    tokenizer = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    tokenizer.no_padding()
    limit = getattr(model.config, "max_position_embeddings", MAX_TOKENS)
    tokenizer.enable_truncation(min(MAX_TOKENS, limit))
    return model, tokenizer


def without_pooler(backbone: PreTrainedModel) -> PreTrainedModel:
    """Remove BERT's pooler, which mean pooling does not use."""
    if getattr(backbone, "pooler", None) is not None:
        backbone.register_module("pooler", None)
    return backbone


def save(folder: Path, checkpoint: Checkpoint, *, packed: bool = False) -> None:
    """Write a checkpoint; what was at `folder` stays until the new one is complete.

    packed: as in `save_weights`
    """
    model = checkpoint.model
    with atomic_folder(folder) as temporary:
        save_weights(model, temporary / "model.safetensors", packed=packed)
        (temporary / "encoder").mkdir()
        model.text.backbone.config.to_json_file(temporary / "encoder" / "config.json")
        checkpoint.tokenizer.save(str(temporary / "tokenizer.json"))
        config = {
            "format": FORMAT,
            "step": dataclasses.asdict(model.config),
            "audio": None if model.audio is None else dataclasses.asdict(model.audio.config),
            "face": None if model.face is None else dataclasses.asdict(model.face.config),
            "speech": None if model.speech is None else dataclasses.asdict(model.speech.config),
            "trained": checkpoint.trained,
            "licences": checkpoint.licences,
        }
        _dump(temporary / "config.json", config)
        _dump(temporary / "metrics.json", checkpoint.metrics)
        (temporary / "MODEL_CARD.md").write_text(checkpoint.card, encoding="utf-8")


def _dump(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


class Licensed(Protocol):
    """What came of data and encoders that have licences."""

    @property
    def licences(self) -> Mapping[str, str]: ...


def joined_licences(sources: Iterable[Licensed], given: Mapping[str, str]) -> dict[str, str]:
    """Join the licences of what is learned from, such as teachers, with those that are given."""
    return {name: text for source in sources for name, text in source.licences.items()} | dict(
        given
    )


def an_object(value: Any, name: str) -> dict[str, Any]:
    """Return a JSON object. Raises TypeError for anything else."""
    if not isinstance(value, dict):
        raise TypeError(f"{name}: expected a JSON object, got {value!r:.80}")
    return value


def check_format(spec: Any, expected: int, folder: Path) -> None:
    """Raise CheckpointError unless config.json is of the format that is read."""
    if spec["format"] != expected:
        raise CheckpointError(
            f"{folder}: format {spec['format']}, this version of DCET reads "
            f"{expected}; train it again or install the version that wrote it"
        )


def fill(model: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Give a model the weights of its folder. Raises CheckpointError where they do not fit."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: weights and config.json disagree: {error}") from error


def load(name: str | Path, device: torch.device = CPU) -> Checkpoint:
    """Load a checkpoint folder, a run folder that holds one, or one of SHIPPED, by its name.

    Its model lies on `device`.

    Raises CheckpointError.
    """
    folder = folder_of(name)
    if (folder / "checkpoint").is_dir():
        folder = folder / "checkpoint"
    try:
        spec = read_json(folder / "config.json")
        if "modality" in spec:
            raise CheckpointError(
                f"{folder}: expected a checkpoint, as `dcet-train fit` writes, got an encoder of "
                f"{spec['modality']}, as `dcet-train encoder` writes; give another folder"
            )
        check_format(spec, FORMAT, folder)
        config, trained = ModelConfig(**spec["step"]), tuple(spec["trained"])
        audio = None if spec["audio"] is None else AudioEncoder(AudioConfig(**spec["audio"]))
        face = None if spec["face"] is None else FaceEncoder(FaceConfig(**spec["face"]))
        heard = spec.get("speech")  # older checkpoints have none
        speech = None if heard is None else SpeechDetector(SpeechConfig(**heard))
        licences = an_object(spec["licences"], "licences")
        encoder = AutoConfig.from_pretrained(folder / "encoder", local_files_only=True)
        backbone = AutoModel.from_config(encoder, attn_implementation="eager", dtype=torch.float32)
        weights = load_weights(folder / "model.safetensors")
        tokenizer = Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
        metrics = an_object(read_json(folder / "metrics.json"), "metrics.json")
        card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder}: not a checkpoint ({error}); expected `default` or `large`, which ship "
            "with DCET, or a folder with config.json, encoder/, model.safetensors, tokenizer.json, "
            "metrics.json and MODEL_CARD.md, as `dcet-train fit` writes"
        ) from error
    model = Dcet(config, without_pooler(backbone), audio, face, speech)
    fill(model, weights, folder)
    return Checkpoint(
        model=model.eval().to(device),
        tokenizer=tokenizer,
        metrics=metrics,
        trained=trained,
        licences=licences,
        card=card,
        sha256=digest,
    )
