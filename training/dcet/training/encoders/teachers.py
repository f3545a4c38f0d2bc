"""Teachers: a checkpoint, an encoder of DCET's own, or any Hugging Face model."""

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedModel

from dcet.training.dialogue.forward import first_turn_logits, text_alone
from dcet.training.encoders.teacher_protocol import Teacher, TeacherAnswer
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.speech_detector import SpeechDetector
from dcet.training.network.text_batches import encode_texts
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import checkpoint, encoder_run
from dcet.training.saved.checkpoint import Checkpoint
from dcet.training.saved.encoder_run import EncoderRun


class CheckpointTeacher:
    """A checkpoint on text alone; each utterance is judged as the first of a conversation."""

    ours, silent = True, ""

    def __init__(self, loaded: Checkpoint) -> None:
        self.loaded = loaded
        self.network = loaded.model
        self.width = loaded.model.config.text_width
        self.licences = loaded.licences

    @torch.no_grad()
    def __call__(self, inputs: Sequence[str]) -> TeacherAnswer:
        features = encode_texts(self.loaded.model, self.loaded.tokenizer, inputs, fast=True)
        step = self.loaded.model.step
        return TeacherAnswer(features, first_turn_logits(step, text_alone(step.config, features)))


class EncoderTeacher:
    """An encoder of DCET's own, with its head."""

    ours, silent = True, ""

    def __init__(self, run: EncoderRun) -> None:
        assert not isinstance(run.model, SpeechDetector)  # which knows no emotion
        self.network, self.tokenizer = run.model, run.tokenizer
        self.width = run.model.head.in_features
        self.licences = run.licences

    @torch.no_grad()
    def __call__(self, inputs: Any) -> TeacherAnswer:
        features = self._features(inputs)
        return TeacherAnswer(features, self.network.head(features))

    def _features(self, inputs: Any) -> Tensor:
        model = self.network
        if isinstance(model, AudioEncoder):
            return model.encode(inputs.level, inputs.voice)
        if isinstance(model, FaceEncoder):
            return model.encode(inputs)
        assert self.tokenizer is not None
        return encode_texts(model, self.tokenizer, inputs, fast=True)


def find_teacher(name: str, modality: str) -> Teacher:
    """Find a teacher: one of SHIPPED, a checkpoint or run, or a Hugging Face model by id or folder.

    Raises ConfigError or CheckpointError where it cannot teach `modality`.
    """
    kind = encoder_run.kind_of(name)
    if kind is None:
        # transformers takes long to load what only these teachers need
        from dcet.training.encoders.hub_teachers import HUB_TEACHERS

        return HUB_TEACHERS[modality](name)
    if kind == "checkpoint" and modality == "text":
        return CheckpointTeacher(checkpoint.load(name))
    return EncoderTeacher(encoder_run.find_encoder(name, modality))


def text_encoder_of(name: str) -> tuple[PreTrainedModel, Tokenizer]:
    """Load a teacher's text encoder, to cut a student out of it. Raises as `find_teacher`."""
    kind = encoder_run.kind_of(name)
    if kind is None:
        return checkpoint.pretrained(name, "--teacher")
    if kind == "checkpoint":
        loaded = checkpoint.load(name)
        return loaded.model.text.backbone, loaded.tokenizer
    run = encoder_run.find_encoder(name, "text")
    assert isinstance(run.model, TextClassifier)
    assert run.tokenizer is not None
    return run.model.text.backbone, run.tokenizer
