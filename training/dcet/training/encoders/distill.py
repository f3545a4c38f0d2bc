"""Distillation: training a small student encoder to match larger teachers.

DCET's own teachers and the student are given exactly the same corrupted inputs (function matching,
Beyer et al., CVPR 2022): the training examples alone say little about a teacher.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, kl_div, log_softmax

from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import EMOTIONS
from dcet.training.device import CPU
from dcet.training.encoders.encoder_config import EncoderConfig
from dcet.training.encoders.encoder_training import Drawn, EncoderTraining
from dcet.training.encoders.new_student import new_student
from dcet.training.encoders.students import Student, StudentAnswer
from dcet.training.encoders.teacher_protocol import Teacher, TeacherAnswer
from dcet.training.encoders.teachers import find_teacher
from dcet.training.run.loop import train
from dcet.training.run.parameter_groups import decayed_matrices
from dcet.training.run.progress import Progress
from dcet.training.run.run_folder import check_run
from dcet.training.settings import Positive, Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig(EncoderConfig):
    """The settings of a run of `distill`. Written into the run as config.json.

    Without corpora, `data` is unlabelled media.
    """

    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "text": {"epochs": 15, "batch": 64, "learning_rate": 3e-4, "weight_decay": 0.01},
        "audio": {"epochs": 45, "batch": 96, "learning_rate": 2e-3, "weight_decay": 0.05},
        "face": {"epochs": 45, "batch": 128, "learning_rate": 2e-3, "weight_decay": 0.05},
    }

    teachers: Sequence[str]
    student: Mapping[str, Any]  # fields of TextConfig, AudioConfig or FaceConfig
    clip_norm: Positive | None = 1.0
    temperature: Positive = 2.0
    answer_weight: Weight = 1.0
    feature_weight: Weight = 1.0
    label_weight: Weight = 0.3


def distill(
    config: DistillConfig, run: Path, progress: Progress, device: torch.device = CPU
) -> Mapping[str, Any]:
    """Train the student; write or resume `run`. Returns its dev figures, where there is a dev.

    Raises CheckpointError, ConfigError, DataError or WriteError.
    """
    check_run(run, config)
    teachers = {name: find_teacher(name, config.modality) for name in config.teachers}
    _expect_emotions(teachers, config.corpora, progress)
    torch.manual_seed(config.seed)
    student = new_student(config, config.student, teachers)
    training = Distillation(config, student, list(teachers.values()), run / "checkpoint")
    train(training, config, run, progress, device)
    figures: Mapping[str, Any] = training.notes["figures"]
    return figures


def _expect_emotions(
    teachers: Mapping[str, Teacher], corpora: Sequence[str], progress: Progress
) -> None:
    """Say which teachers teach features alone. Raises ConfigError where nothing else is learned."""
    silent = {name: teacher.silent for name, teacher in teachers.items() if teacher.silent}
    if len(silent) == len(teachers) and not corpora:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in silent.items())
        raise ConfigError(
            f"--teacher: expected one that tells {', '.join(EMOTIONS)} apart, as nothing else says "
            f"what is felt, got {reasons}; give such a teacher, too, or a --corpus with labels"
        )
    for name, reason in silent.items():
        progress.say(f"--teacher {name} teaches its features alone: {reason}")


class Distillation(EncoderTraining):
    """Training that minimises the disagreement with teachers, and with labels where there are any.

    Features of the student are compared with a teacher's through a learned projection, unless they
    are to replace them.
    """

    def __init__(
        self, config: DistillConfig, student: Student, teachers: Sequence[Teacher], kept: Path
    ) -> None:
        self.config, self.teachers = config, teachers
        self.others = [teacher.network for teacher in teachers]
        self.projections = nn.ModuleList(
            nn.Identity()
            if teacher.ours and teacher.width == student.width
            else nn.Linear(student.width, teacher.width)
            for teacher in teachers
        )
        optimizer = torch.optim.AdamW(
            decayed_matrices(
                [student.network, self.projections], config.learning_rate, config.weight_decay
            )
        )
        # "bridges" is the projections' name in the state of runs begun by earlier versions.
        super().__init__(config, student, optimizer, kept, bridges=self.projections)

    def loss(self, batch: Sequence[Drawn]) -> Tensor:
        ((inputs, target),) = batch
        answer = self.student(inputs)
        answers = [teacher(inputs) for teacher in self.teachers]
        loss = disagreement(answer, answers, self.projections, self.config)
        if target is not None:
            labelled = (target * answer.logits.log_softmax(-1)).sum(-1).mean()
            loss = loss - self.config.label_weight * labelled
        return loss


def disagreement(
    student: StudentAnswer,
    teachers: Sequence[TeacherAnswer],
    projections: nn.ModuleList,
    config: DistillConfig,
) -> Tensor:
    """Return the loss of the student against the teachers' mean answer and the features of each.

    Answers: the Kullback-Leibler divergence at a temperature (Hinton et al., 2015). Features that
    the student's are to replace: the squared distance, in units of their variance. Features that
    are reached through a projection: one minus the cosine.
    """
    loss = student.features.new_zeros(())
    heat = config.temperature
    answers = [teacher.logits for teacher in teachers if teacher.logits is not None]
    if answers:
        answer = torch.stack([(logits / heat).softmax(dim=-1) for logits in answers]).mean(dim=0)
        apart = kl_div(log_softmax(student.logits / heat, dim=-1), answer, reduction="batchmean")
        loss = loss + config.answer_weight * heat**2 * apart
    for projection, teacher in zip(projections, teachers, strict=True):
        if isinstance(projection, nn.Identity):
            variance = teacher.features.var(dim=0).mean() + 1e-6
            apart = (student.features - teacher.features).square().mean() / variance
        else:
            apart = 1 - cosine_similarity(projection(student.features), teacher.features).mean()
        loss = loss + config.feature_weight * apart / len(teachers)
    return loss
