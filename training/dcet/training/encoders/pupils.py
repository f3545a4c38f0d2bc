"""Encoders that learn, each with what it learns from and the dev splits it is judged on."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tokenizers import Tokenizer
from torch import Tensor, nn

from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.calibration import calibrate
from dcet.training.dialogue.utterances import logits_alone, read_texts
from dcet.training.encoders.encoder_loop import Figures
from dcet.training.evaluate import evaluate_sense, evaluate_texts
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.model import TextEncoder
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.run.mixed_precision import mixed_precision
from dcet.training.saved import checkpoint, encoder_run
from dcet.training.saved.checkpoint import Checkpoint
from dcet.training.saved.encoder_run import EncoderRun


class Answer(NamedTuple):
    """What a pupil makes of N inputs."""

    features: Tensor  # (N, width)
    logits: Tensor  # (N, 7)


class Material(Protocol):
    """n examples."""

    def __len__(self) -> int: ...

    def noisy(self, rows: Tensor) -> tuple[Any, Tensor | None]:
        """N of them corrupted at random, and (N, 7) rows that sum to 1 where they are labelled."""
        ...


class Pupil(Protocol):
    """Takes a batch as its material shows it."""

    width: int  # of its features
    material: Material

    @property
    def network(self) -> nn.Module: ...

    def __call__(self, shown: Any) -> Answer: ...

    def keep(self, folder: Path) -> Figures:
        """Write the network to `folder`; its figures on every dev split there is."""
        ...


class StandIn:
    """A text encoder that takes the place of a checkpoint's own, under the same step."""

    def __init__(
        self,
        teacher: Checkpoint,
        encoder: TextEncoder,
        tokenizer: Tokenizer,
        material: Material,
        dev: Corpus | None,
        licences: Mapping[str, str],
    ) -> None:
        self.network = copy.deepcopy(teacher.model).requires_grad_(False)
        self.network.text = encoder
        self.width = self.network.config.text_width
        self.teacher, self.tokenizer, self.material, self.dev = teacher, tokenizer, material, dev
        self.licences = licences

    def __call__(self, shown: Sequence[str]) -> Answer:
        self.network.step.eval()  # it does not learn
        features = read_texts(self.network, self.tokenizer, shown)
        return Answer(features, logits_alone(self.network.step, features))

    def keep(self, folder: Path) -> Figures:
        """A whole checkpoint, its temperature fitted anew where there is a dev split."""
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
        if self.dev is None:
            return {}
        return calibrate(folder, self.dev, self.teacher.model.step.heads.calibration_bias)


class TextPupil:
    """A text encoder with a head of its own."""

    def __init__(
        self,
        network: TextClassifier,
        tokenizer: Tokenizer,
        material: Material,
        dev: Corpus | None,
        licences: Mapping[str, str],
    ) -> None:
        self.network, self.tokenizer, self.material, self.dev = network, tokenizer, material, dev
        self.width = network.head.in_features
        self.licences = licences

    def __call__(self, shown: Sequence[str]) -> Answer:
        features = read_texts(self.network, self.tokenizer, shown)
        return Answer(features, self.network.head(features))

    def keep(self, folder: Path) -> Figures:
        figures = (
            {}
            if self.dev is None
            else {"meld": evaluate_texts(self.network, self.tokenizer, self.dev)}
        )
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


class SensePupil:
    """An audio or a face encoder."""

    def __init__(
        self,
        network: AudioEncoder | FaceEncoder,
        material: Material,
        dev: Mapping[str, Path],
        licences: Mapping[str, str],
    ) -> None:
        self.network, self.material = network, material
        self.dev = dev  # folders of corpora by their name
        self.licences = licences
        self.width = network.config.width

    def __call__(self, shown: Any) -> Answer:
        network = self.network
        with mixed_precision():
            if isinstance(network, AudioEncoder):
                features = network.encode(shown.level, shown.voice)
            else:
                features = network.encode(shown)
            logits = network.head(features)
        return Answer(features.float(), logits.float())

    def keep(self, folder: Path) -> Figures:
        figures = {
            corpus: evaluate_sense(self.network, corpus, place, "dev")
            for corpus, place in self.dev.items()
        }
        encoder_run.save(
            folder,
            EncoderRun(model=self.network, tokenizer=None, metrics=figures, licences=self.licences),
        )
        return figures
