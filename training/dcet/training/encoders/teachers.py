"""Who a student learns from: a checkpoint, an encoder of ours, or any Hugging Face model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedModel

from dcet.training.dialogue.utterances import logits_alone, read_texts
from dcet.training.encoders.teacher_protocol import Opinion, Teacher
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import checkpoint, encoder_run
from dcet.training.saved.checkpoint import Checkpoint
from dcet.training.saved.encoder_run import EncoderRun


class CheckpointTeacher:
    """The text side of a checkpoint: each utterance is judged as the first of a conversation."""

    ours = True

    def __init__(self, loaded: Checkpoint) -> None:
        self.loaded = loaded
        self.width = loaded.model.config.text_width
        self.licences = loaded.licences

    @torch.no_grad()
    def __call__(self, shown: Sequence[str]) -> Opinion:
        features = read_texts(self.loaded.model, self.loaded.tokenizer, shown, fast=True)
        return Opinion(features, logits_alone(self.loaded.model.step, features))


class EncoderTeacher:
    """An encoder of ours, with its own head."""

    ours = True

    def __init__(self, run: EncoderRun) -> None:
        self.run = run
        self.width = run.model.head.in_features
        self.licences = run.licences

    @torch.no_grad()
    def __call__(self, shown: Any) -> Opinion:
        features = self._features(shown)
        return Opinion(features, self.run.model.head(features))

    def _features(self, shown: Any) -> Tensor:
        model = self.run.model
        if isinstance(model, AudioEncoder):
            return model.encode(shown.level, shown.voice)
        if isinstance(model, FaceEncoder):
            return model.encode(shown)
        assert self.run.tokenizer is not None
        return read_texts(model, self.run.tokenizer, shown, fast=True)


def find_teacher(name: str, modality: str) -> Teacher:
    """`default`, a folder or run of ours, or a Hugging Face model by hub id or folder.

    Raises ConfigError or CheckpointError where it cannot teach `modality`.
    """
    kind = "checkpoint" if name == "default" else encoder_run.kind_of(Path(name))
    if kind is None:
        # transformers takes long to load what only these teachers need
        from dcet.training.encoders.hub_teachers import HUB_TEACHERS

        return HUB_TEACHERS[modality](name)
    if kind == "checkpoint" and modality == "text":
        return CheckpointTeacher(checkpoint.load(name))
    return EncoderTeacher(encoder_run.find_encoder(name, modality))


def text_encoder_of(name: str) -> tuple[PreTrainedModel, Tokenizer]:
    """A teacher's own text encoder, for a student to be cut out of. Raises as `find_teacher`."""
    kind = "checkpoint" if name == "default" else encoder_run.kind_of(Path(name))
    if kind is None:
        return checkpoint.pretrained(name, "--teacher")
    if kind == "checkpoint":
        loaded = checkpoint.load(name)
        return loaded.model.text.backbone, loaded.tokenizer
    run = encoder_run.find_encoder(name, "text")
    assert isinstance(run.model, TextClassifier)
    assert run.tokenizer is not None
    return run.model.text.backbone, run.tokenizer
