"""Distillation: a small student learns to answer as larger teachers do.

Teachers of ours and the student see exactly the same corrupted inputs (function matching, Beyer et
al., CVPR 2022): on the training examples alone there is little to be learned of a teacher.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, kl_div, log_softmax

from dcet.runtime.errors import ConfigError
from dcet.training.encoders.encoder_loop import decayed_matrices, train
from dcet.training.encoders.lessons import pupil_of
from dcet.training.encoders.pupils import Answer
from dcet.training.encoders.teacher_protocol import Opinion
from dcet.training.encoders.teachers import find_teacher
from dcet.training.run.runs import Progress, claim

RECIPES: Mapping[str, dict[str, Any]] = {
    "text": {"epochs": 15, "batch": 64, "learning_rate": 3e-4, "weight_decay": 0.01},
    "audio": {"epochs": 45, "batch": 96, "learning_rate": 2e-3, "weight_decay": 0.05},
    "face": {"epochs": 45, "batch": 128, "learning_rate": 2e-3, "weight_decay": 0.05},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """All that decides a run. Written into the run as config.json."""

    modality: str
    teachers: Sequence[str]
    student: Mapping[str, Any]  # fields of TextConfig, AudioConfig or FaceConfig
    data: str  # folder of the corpora; or, without any, unlabelled media
    corpora: Sequence[str] = ()
    seed: int = 0
    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    warmup: float = 0.05  # share of the run
    average: float = 0.998  # of the weights, per update; the average is what is kept
    clip_norm: float | None = 1.0
    judge_every: int = 5  # epochs
    mixup: float = 0.2  # of audio and faces
    temperature: float = 2.0
    answer_weight: float = 1.0
    feature_weight: float = 1.0
    label_weight: float = 0.3
    licences: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, modality: str, **options: Any) -> "DistillConfig":
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
        return config


def distill(config: DistillConfig, run: Path, progress: Progress) -> Mapping[str, Any]:
    """Train the student; write or resume `run`. Returns its dev figures, where there is a dev."""
    named = {name: find_teacher(name, config.modality) for name in config.teachers}
    teachers = list(named.values())
    torch.manual_seed(config.seed)
    pupil = pupil_of(config, config.student, named)
    bridges = nn.ModuleList(
        nn.Identity()
        if teacher.ours and teacher.width == pupil.width
        # What another kind of network calls things is for the student to find out.
        else nn.Linear(pupil.width, teacher.width)
        for teacher in teachers
    )
    claim(run, config)

    def loss_of(rows: Tensor) -> Tensor:
        shown, target = pupil.material.noisy(rows)
        mine = pupil(shown)
        loss = disagreement(mine, [teacher(shown) for teacher in teachers], bridges, config)
        if target is not None:
            loss = (
                loss - config.label_weight * (target * mine.logits.log_softmax(-1)).sum(-1).mean()
            )
        return loss

    return train(
        config,
        run,
        pupil.network,
        torch.optim.AdamW(
            decayed_matrices([pupil.network, bridges], config.learning_rate, config.weight_decay)
        ),
        len(pupil.material),
        loss_of,
        pupil.keep,
        progress,
        {"bridges": bridges},
    )


def disagreement(
    mine: Answer, opinions: Sequence[Opinion], bridges: nn.ModuleList, config: DistillConfig
) -> Tensor:
    """How far the student is from its teachers: their mean answer, and the features of each.

    Answers by the Kullback-Leibler divergence at a temperature (Hinton et al., 2015). Features that
    the student's are to replace by their squared distance, in units of their variance; those that a
    bridge leads to by their angle.
    """
    loss = mine.features.new_zeros(())
    heat = config.temperature
    answers = [opinion.logits for opinion in opinions if opinion.logits is not None]
    if answers:
        answer = torch.stack([(logits / heat).softmax(dim=-1) for logits in answers]).mean(dim=0)
        apart = kl_div(log_softmax(mine.logits / heat, dim=-1), answer, reduction="batchmean")
        loss = loss + config.answer_weight * heat**2 * apart
    for bridge, opinion in zip(bridges, opinions, strict=True):
        if isinstance(bridge, nn.Identity):
            variance = opinion.features.var(dim=0).mean() + 1e-6
            apart = (mine.features - opinion.features).square().mean() / variance
        else:
            apart = 1 - cosine_similarity(bridge(mine.features), opinion.features).mean()
        loss = loss + config.feature_weight * apart / len(opinions)
    return loss
