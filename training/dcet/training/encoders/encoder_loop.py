"""The loop that encoders are trained by, from labels or from teachers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dcet.training.run.resume import load_resume, save_resume
from dcet.training.run.runs import Progress, average_of, follow, log, schedule

Figures = Mapping[str, Any]


class Pace(Protocol):
    """What the loop reads of a run's configuration."""

    @property
    def seed(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def warmup(self) -> float: ...
    @property
    def average(self) -> float: ...
    @property
    def clip_norm(self) -> float | None: ...
    @property
    def judge_every(self) -> int: ...


def train(
    pace: Pace,
    run: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    count: int,
    loss_of: Callable[[Tensor], Tensor],
    keep: Callable[[Path], Figures],
    progress: Progress,
    beside: Mapping[str, nn.Module] | None = None,
) -> Figures:
    """Train `network` on `count` examples; write or resume `run`.

    `loss_of` is that of a batch, given by the numbers of its examples. `keep` writes the network to
    a folder while it holds the average of its weights, and returns its dev figures. `beside` are
    modules that learn too but are thrown away. Returns the last figures.
    """
    modules = {"network": network, **(beside or {})}
    parameters = [p for module in modules.values() for p in module.parameters()]
    rates = [group["lr"] for group in optimizer.param_groups]
    average = average_of(network)
    size = min(pace.batch, count)
    per_epoch = count // size
    updates = per_epoch * pace.epochs
    first_epoch = 0
    figures: Figures = {}
    if resumed := load_resume(run / "resume", modules, optimizer, average):
        first_epoch, figures = resumed["epoch"], resumed["figures"]
    for epoch in range(first_epoch, pace.epochs):
        network.train()
        # Order and noise depend on seed and epoch alone: a resumed run sees what an unbroken one
        # sees.
        torch.manual_seed(pace.seed * 1000 + epoch)
        order = torch.randperm(count)
        total = 0.0
        for index in range(per_epoch):
            update = epoch * per_epoch + index
            factor = schedule(update / updates, pace.warmup)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            loss = loss_of(order[index * size : (index + 1) * size])
            optimizer.zero_grad()
            loss.backward()
            if pace.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, pace.clip_norm)
            optimizer.step()
            follow(average, network, min(pace.average, (1 + update) / (10 + update)))
            total += loss.item()
            progress(update + 1, updates, f"epoch {epoch + 1} loss {loss.item():.3f}")
        line: dict[str, Any] = {"loss": total / per_epoch}
        if (epoch + 1) % pace.judge_every == 0 or epoch + 1 == pace.epochs:
            learning = average_of(network)
            network.load_state_dict(average)
            network.eval()
            figures = keep(run / "checkpoint")
            network.load_state_dict(learning)
            line |= figures
            progress((epoch + 1) * per_epoch, updates, f"epoch {epoch + 1} dev {brief(figures)}")
        log(run / "log.jsonl", epoch, line)
        save_resume(
            run / "resume", modules, optimizer, average, {"epoch": epoch + 1, "figures": figures}
        )
    return figures


def brief(figures: Figures) -> str:
    """One line."""
    return " ".join(
        f"{name} weighted_f1 {part['weighted_f1']:.4f} uar {part['uar']:.4f}"
        for name, part in figures.items()
    )


def decayed_matrices(
    modules: Sequence[nn.Module], rate: float, decay: float
) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels; none on biases and normalisation."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "lr": rate, "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "lr": rate, "weight_decay": 0.0},
    ]
