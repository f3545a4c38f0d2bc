"""Training of one encoder from labels, on single utterances, clips or faces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dcet.runtime.errors import ConfigError
from dcet.training.device import CPU
from dcet.training.dialogue.objective import divergence
from dcet.training.encoders.encoder_config import EncoderConfig
from dcet.training.encoders.encoder_training import Drawn, EncoderTraining
from dcet.training.encoders.new_student import new_student
from dcet.training.encoders.students import Student, TextStudent
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.grow import deepened, widened
from dcet.training.run.loop import Judgement, mix_in, snapshot, train
from dcet.training.run.parameter_groups import decayed_matrices, layer_groups
from dcet.training.run.progress import Progress
from dcet.training.run.run_folder import check_run
from dcet.training.saved.encoder_run import Encoder, find_encoder
from dcet.training.settings import Count, Share, Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class FitEncoderConfig(EncoderConfig):
    """The settings of a run of `encoder`. Written into the run as config.json."""

    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "text": {
            "epochs": 4,
            "batch": 64,
            "learning_rate": 1e-4,
            "weight_decay": 0.01,
            "warmup": 0.1,
            "average": 0.99,
            "clip_norm": 1.0,
            "judge_every": 1,
        },
        "audio": {
            "epochs": 24,
            "batch": 64,
            "learning_rate": 1.5e-3,
            "mixup": 0.0,
            "agreement": 1.0,
        },
        "face": {"epochs": 45, "batch": 128},
    }

    shape: Mapping[str, Any] = field(default_factory=dict)  # of TextConfig, AudioConfig, FaceConfig
    learning_rate: Weight = 2e-3
    layer_decay: Share = 0.85  # of text: each layer learns this much slower than the one above it
    head_learning_rate: Weight = 1e-3  # of text
    weight_decay: Weight = 0.05
    # Run or checkpoint with an encoder of the same shape to go on from; a face's may be smaller
    begin: str | None = None
    begin_share: Share = 0.0  # of the weights it began with, in those that are judged and kept
    agreement: Weight = 0.0  # of what is said of the same examples, corrupted twice
    judge_every: Count = 3  # epochs

    def __post_init__(self) -> None:
        EncoderConfig.__post_init__(self)
        if not self.corpora:
            raise ConfigError("expected at least one --corpus to learn from, got none")
        if self.begin_share and self.begin is None:
            raise ConfigError("begin_share: expected an encoder to begin with, got no `begin`")


def fit_encoder(
    config: FitEncoderConfig, run: Path, progress: Progress, device: torch.device = CPU
) -> Mapping[str, Any]:
    """Train on the train splits; write or resume `run`. Returns the figures on the dev splits.

    Raises ConfigError, DataError or WriteError.
    """
    check_run(run, config)
    torch.manual_seed(config.seed)
    begun = None if config.begin is None else find_encoder(config.begin, config.modality)
    student = new_student(config, config.shape, {}, begun)
    if begun is not None:
        _begin_with(begun.model, student.network, str(config.begin))
    training = LabelTraining(config, student, run / "checkpoint")
    train(training, config, run, progress, device)
    figures: Mapping[str, Any] = training.notes["figures"]
    return figures


class LabelTraining(EncoderTraining):
    """Training that minimises the cross-entropy of the labels.

    With `agreement`, each example is corrupted twice, and what is said of one must be what is said
    of the other (the symmetric divergence of R-Drop, Liang et al., NeurIPS 2021).

    The weights that the network begins with may have a share in what is judged and kept (Wortsman
    et al., Robust fine-tuning of zero-shot models, CVPR 2022).
    """

    def __init__(self, config: FitEncoderConfig, student: Student, kept: Path) -> None:
        super().__init__(config, student, _optimizer(config, student), kept)
        self.agreement = config.agreement
        self.views = 2 if config.agreement else 1
        self.begun, self.begin_share = snapshot(self.network), config.begin_share

    def loss(self, batch: Sequence[Drawn]) -> Tensor:
        first, loss = self._answer(batch[0])
        if self.agreement:
            second, again = self._answer(batch[1])
            loss = (loss + again) / 2 + self.agreement * divergence(first, second)
        return loss

    def judge(self, epoch: int) -> Judgement:
        mix_in(self.network, self.begun, self.begin_share)
        return super().judge(epoch)

    def _answer(self, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Return the logits of corrupted examples, and their loss."""
        assert drawn.target is not None
        logits = self.student(drawn.inputs).logits
        return logits, cross_entropy(logits, drawn.target)


def _begin_with(begun: Encoder, student: nn.Module, name: str) -> None:
    """Copy the weights of an encoder into the student's network. Raises ConfigError."""
    grown: nn.Module = begun
    if isinstance(begun, FaceEncoder) and isinstance(student, FaceEncoder):
        grown = widened(deepened(begun, student.config.depths), student.config)
    try:
        student.load_state_dict(grown.state_dict())
    except RuntimeError as error:
        had, want = (getattr(network, "config", "another") for network in (begun, student))
        raise ConfigError(
            f"--config: begin: expected an encoder of the student's shape, {want}, got {name}, "
            f"{had}; a face's may be shallower, and narrower by whole multiples: change `shape` "
            "or leave `begin` out"
        ) from error


def _optimizer(config: FitEncoderConfig, student: Student) -> torch.optim.Optimizer:
    if isinstance(student, TextStudent):
        network = student.network
        groups = layer_groups(network.text.backbone, config.learning_rate, config.layer_decay)
        head = {"params": list(network.head.parameters()), "lr": config.head_learning_rate}
        return torch.optim.AdamW([*groups, head], weight_decay=config.weight_decay)
    return torch.optim.AdamW(
        decayed_matrices([student.network], config.learning_rate, config.weight_decay)
    )
