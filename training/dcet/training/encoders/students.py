"""Encoders in training, each with its dataset and the dev splits it is judged on."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.registry import NEVER_THERE
from dcet.training.corpora.speech import Speech
from dcet.training.device import device_of
from dcet.training.dialogue.forward import first_turn_logits, text_alone
from dcet.training.dialogue.temperature import calibrate, calibrate_head
from dcet.training.encoders.datasets import AudioBatch, Dataset
from dcet.training.encoders.judging import judge_faces, judge_speech, judge_texts
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder, encode_grey
from dcet.training.network.mixed_precision import mixed_precision
from dcet.training.network.model import TextEncoder
from dcet.training.network.text_batches import encode_texts
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import checkpoint, encoder_run
from dcet.training.saved.checkpoint import Checkpoint
from dcet.training.saved.encoder_run import EncoderRun

Figures = Mapping[str, Any]
Network = TypeVar("Network", AudioEncoder, FaceEncoder)
Split = TypeVar("Split", Speech, Faces)


class StudentAnswer(NamedTuple):
    """A student's features and logits for N inputs."""

    features: Tensor  # (N, width)
    logits: Tensor  # (N, 7)


class Student(Protocol):
    """An encoder in training, which answers a batch of its dataset."""

    width: int  # of its features
    dataset: Dataset

    @property
    def network(self) -> nn.Module: ...

    def __call__(self, inputs: Any) -> StudentAnswer: ...

    def keep(self, folder: Path) -> Figures:
        """Write the network to `folder` and return its figures on every dev split there is."""
        ...


class CheckpointStudent:
    """A text encoder that takes the place of a checkpoint's own, under the same step."""

    def __init__(
        self,
        teacher: Checkpoint,
        encoder: TextEncoder,
        tokenizer: Tokenizer,
        dataset: Dataset,
        dev: Mapping[str, Corpus],  # by the corpus's name
        licences: Mapping[str, str],
    ) -> None:
        self.network = copy.deepcopy(teacher.model).requires_grad_(False)
        self.network.text = encoder
        self.width = self.network.config.text_width
        self.teacher, self.tokenizer, self.dataset, self.dev = teacher, tokenizer, dataset, dev
        self.licences = licences

    def __call__(self, inputs: Sequence[str]) -> StudentAnswer:
        self.network.step.eval()  # it is not trained
        features = encode_texts(self.network, self.tokenizer, inputs)
        first_turns = text_alone(self.network.config, features)
        return StudentAnswer(features, first_turn_logits(self.network.step, first_turns))

    def keep(self, folder: Path) -> Figures:
        """Write a whole checkpoint, its calibration fitted anew to the first dev split there is."""
        checkpoint.save(
            folder,
            Checkpoint(
                model=self.network,
                tokenizer=self.tokenizer,
                metrics={},
                trained=self.teacher.trained,
                licences=self.licences,
            ),
        )
        if not self.dev:
            return {}
        first = next(iter(self.dev.values()))
        return calibrate(folder, first, self.teacher.model.step.heads.calibration_bias)


class TextStudent:
    """A text encoder with a head of its own."""

    def __init__(
        self,
        network: TextClassifier,
        tokenizer: Tokenizer,
        dataset: Dataset,
        dev: Mapping[str, Corpus],  # by the corpus's name
        licences: Mapping[str, str],
    ) -> None:
        self.network, self.tokenizer, self.dataset, self.dev = network, tokenizer, dataset, dev
        self.width = network.head.in_features
        self.licences = licences

    def __call__(self, inputs: Sequence[str]) -> StudentAnswer:
        features = encode_texts(self.network, self.tokenizer, inputs)
        return StudentAnswer(features, self.network.head(features))

    def keep(self, folder: Path) -> Figures:
        figures = {
            corpus: judge_texts(self.network, self.tokenizer, split)
            for corpus, split in self.dev.items()
        }
        encoder_run.save(
            folder,
            EncoderRun(
                model=self.network,
                tokenizer=self.tokenizer,
                metrics=figures,
                licences=self.licences,
            ),
        )
        return figures


class _SingleInputStudent(ABC, Generic[Network, Split]):
    """An audio or a face encoder with its own head."""

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        dev: Mapping[str, Split],  # by the corpus's name
        licences: Mapping[str, str],
    ) -> None:
        self.network: Network = network
        self.dev: Mapping[str, Split] = dev
        self.dataset, self.licences = dataset, licences
        self.width = network.config.width

    def __call__(self, inputs: Any) -> StudentAnswer:
        with mixed_precision(device_of(self.network)):
            features = self._encode(inputs)
            logits = self.network.head(features)
        return StudentAnswer(features.float(), logits.float())

    def keep(self, folder: Path) -> Figures:
        figures = {corpus: self._judge(corpus, split) for corpus, split in self.dev.items()}
        made = EncoderRun(
            model=self.network, tokenizer=None, metrics=figures, licences=self.licences
        )
        encoder_run.save(folder, made)
        return figures

    @abstractmethod
    def _encode(self, inputs: Any) -> Tensor:
        """Return the features of a batch of the dataset."""

    @abstractmethod
    def _judge(self, corpus: str, split: Split) -> Figures:
        """Return the figures on a dev split."""


class AudioStudent(_SingleInputStudent[AudioEncoder, Speech]):
    """An audio encoder."""

    def _encode(self, inputs: AudioBatch) -> Tensor:
        return self.network.encode(inputs.level, inputs.voice)

    def _judge(self, corpus: str, split: Speech) -> Figures:
        return judge_speech(self.network, split, NEVER_THERE.get(corpus, ()))


class FaceStudent(_SingleInputStudent[FaceEncoder, Faces]):
    """A face encoder. Its head is calibrated on the dev splits, where there are any.

    bias: (7,) what the logits are shifted by when training has ended
    """

    def __init__(
        self,
        network: FaceEncoder,
        dataset: Dataset,
        dev: Mapping[str, Faces],
        licences: Mapping[str, str],
        bias: Tensor,
    ) -> None:
        self.bias = bias
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        super().__init__(network, dataset, dev, licences)

    def keep(self, folder: Path) -> Figures:
        if self.dev:
            with torch.no_grad():
                features = [encode_grey(self.network, split.grey) for split in self.dev.values()]
            emotion = torch.cat([split.emotion for split in self.dev.values()])
            calibrate_head(self.network.head, torch.cat(features), emotion, self.bias)
        return super().keep(folder)

    def _encode(self, inputs: Tensor) -> Tensor:
        return self.network.encode(inputs)

    def _judge(self, corpus: str, split: Faces) -> Figures:
        return judge_faces(self.network, split)
