"""Training one encoder from labels, on single utterances, clips or faces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dcet.runtime.errors import ConfigError
from dcet.training.encoders.encoder_loop import decayed_matrices, train
from dcet.training.encoders.lessons import pupil_of
from dcet.training.encoders.pupils import TextPupil
from dcet.training.run.layer_rates import layer_groups
from dcet.training.run.runs import Progress, claim

RECIPES: Mapping[str, dict[str, Any]] = {
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
    "audio": {"epochs": 42, "batch": 64, "learning_rate": 1.5e-3, "mixup": 0.0},
    "face": {"epochs": 45, "batch": 128},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitEncoderConfig:
    """All that decides a run. Written into the run as config.json."""

    modality: str
    shape: Mapping[str, Any] = field(default_factory=dict)  # of TextConfig, AudioConfig, FaceConfig
    data: str  # folder of the corpora
    corpora: Sequence[str]
    seed: int = 0
    epochs: int
    batch: int
    learning_rate: float = 2e-3
    layer_decay: float = 0.85  # of text: each layer learns this much slower than the one above it
    head_learning_rate: float = 1e-3  # of text
    weight_decay: float = 0.05
    warmup: float = 0.05  # share of the run
    average: float = 0.998  # of the weights, per update; the average is what is judged and kept
    clip_norm: float | None = None
    judge_every: int = 3  # epochs
    mixup: float = 0.2  # of audio and faces
    licences: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, modality: str, **options: Any) -> "FitEncoderConfig":
        """The modality's recipe with some of it changed. Raises ConfigError."""
        try:
            config = cls(modality=modality, **(RECIPES[modality] | options))
        except TypeError as error:
            raise ConfigError(f"--config: {error}") from error
        if min(config.epochs, config.batch, config.judge_every) < 1:
            raise ConfigError(
                "epochs, batch and judge_every must be at least 1, got "
                f"{config.epochs}, {config.batch} and {config.judge_every}"
            )
        if not config.corpora:
            raise ConfigError("expected at least one --corpus to learn from, got none")
        return config


def fit_encoder(config: FitEncoderConfig, run: Path, progress: Progress) -> Mapping[str, Any]:
    """Train on the train splits; write or resume `run`. Returns the figures on the dev splits."""
    torch.manual_seed(config.seed)
    pupil = pupil_of(config, config.shape, {})
    claim(run, config)
    if isinstance(pupil, TextPupil):
        groups = layer_groups(pupil.network.text.backbone, config.learning_rate, config.layer_decay)
        head = {"params": list(pupil.network.head.parameters()), "lr": config.head_learning_rate}
        optimizer = torch.optim.AdamW([*groups, head], weight_decay=config.weight_decay)
    else:
        optimizer = torch.optim.AdamW(
            decayed_matrices([pupil.network], config.learning_rate, config.weight_decay)
        )

    def loss_of(rows: Tensor) -> Tensor:
        shown, target = pupil.material.noisy(rows)
        assert target is not None
        return cross_entropy(pupil(shown).logits, target)

    return train(
        config,
        run,
        pupil.network,
        optimizer,
        len(pupil.material),
        loss_of,
        pupil.keep,
        progress,
    )
