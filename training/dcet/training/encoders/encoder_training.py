"""Training of one encoder, in the parts that labels and teachers share."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dcet.training.encoders.encoder_config import EncoderConfig
from dcet.training.encoders.students import Figures, Student
from dcet.training.run.loop import Judgement, Training


class Drawn(NamedTuple):
    """Examples of a dataset, freshly corrupted: see `Dataset.batch`."""

    inputs: Any
    target: Tensor | None


class EncoderTraining(Training[Sequence[Drawn]]):
    """Training on batches of the student's dataset; what is judged last is kept.

    A batch is the same examples `views` times, each time corrupted anew. A subclass gives the loss.
    """

    views = 1

    def __init__(
        self,
        config: EncoderConfig,
        student: Student,
        optimizer: torch.optim.Optimizer,
        kept: Path,
        **other_modules: nn.Module,  # that learn as well but are not kept
    ) -> None:
        self.student, self.optimizer, self.kept = student, optimizer, kept
        self.network = student.network
        self.modules = {"network": student.network, **other_modules}
        self.clipped = [p for module in self.modules.values() for p in module.parameters()]
        self.clip_norm, self.judge_every = config.clip_norm, config.judge_every
        self.sharpness = config.sharpness
        self.batch_size = min(config.batch, len(student.dataset))
        self.batches_per_epoch = len(student.dataset) // self.batch_size
        self.notes = {"figures": {}}

    def batches(self, seed: int) -> Iterator[Sequence[Drawn]]:
        order = torch.randperm(len(self.student.dataset))  # the global generator has the seed
        for start in range(0, self.batches_per_epoch * self.batch_size, self.batch_size):
            rows = order[start : start + self.batch_size]
            yield [Drawn(*self.student.dataset.batch(rows)) for _ in range(self.views)]

    def judge(self, epoch: int) -> Judgement:
        figures = self.student.keep(self.kept)
        self.notes["figures"] = figures
        return Judgement(figures, brief(figures))


def brief(figures: Figures) -> str:
    """Summarise figures in one line."""
    return " ".join(
        f"{name} weighted_f1 {part['weighted_f1']:.4f} uar {part['uar']:.4f}"
        for name, part in figures.items()
    )
