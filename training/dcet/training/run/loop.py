"""The training loop: dialogues, encoders and the fusion all run through it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from dcet.runtime.errors import ConfigError
from dcet.training.device import CPU, device_of, moved
from dcet.training.run.progress import Progress
from dcet.training.run.resume import load_resume, save_resume
from dcet.training.run.run_config import RunConfig
from dcet.training.run.run_folder import claim, log

B = TypeVar("B")  # a batch, whatever the training makes of it


class Judgement(NamedTuple):
    """The dev figures of an epoch."""

    figures: Mapping[str, Any]  # for the log
    summary: str  # for people, one line


class Training(ABC, Generic[B]):
    """The parts of a training that differ: what learns, from what, and how it is judged."""

    network: nn.Module  # whose running average is judged and kept
    modules: Mapping[str, nn.Module]  # all that is resumed, the network included, by name
    others: Sequence[nn.Module] = ()  # what else `loss` asks, such as teachers
    optimizer: torch.optim.Optimizer
    clipped: Sequence[nn.Parameter]  # whose gradients are clipped together
    clip_norm: float | None = 1.0
    sharpness: float = 0.0  # radius of sharpness-aware minimisation
    batches_per_epoch: int
    judge_every: int = 1  # epochs; the last is judged in any case
    notes: dict[str, Any]  # JSON that `judge` keeps from epoch to epoch, also when resumed

    @abstractmethod
    def batches(self, seed: int) -> Iterator[B]:
        """Yield the batches of an epoch, on the CPU, in an order drawn from `seed`.

        Torch's global generator has just been seeded with it, too: whatever noise the data gets is
        drawn here, so that it is the same on every device.
        """

    @abstractmethod
    def loss(self, batch: B) -> Tensor:
        """Return the loss of a batch, which lies where the network does."""

    @abstractmethod
    def judge(self, epoch: int) -> Judgement:
        """Judge the network after `epoch`, counted from 0, and keep it if it is to be kept.

        The network holds the average of its weights.
        """


def train(
    training: Training[B],
    config: RunConfig,
    run: Path,
    progress: Progress,
    device: torch.device = CPU,
) -> None:
    """Run on `device` all epochs that `run` lacks; what was killed ends as if it had never been.

    Order and noise depend on seed and epoch alone, so a resumed run sees what an unbroken one sees.
    It may be resumed on another device, which differs in rounding and dropout. Raises ConfigError
    where the loss is no longer finite, and as `claim`.
    """
    claim(run, config)
    for module in (*training.modules.values(), *training.others):
        module.to(device)  # parameters stay the objects that the optimizer knows
    rates = [group["lr"] for group in training.optimizer.param_groups]
    average = snapshot(training.network)
    resumed = load_resume(run / "resume", training.modules, training.optimizer, average)
    first_epoch = resumed.pop("epoch", 0)
    training.notes.update(resumed)
    for epoch in range(first_epoch, config.epochs):
        line: dict[str, Any] = {
            "loss": _train_epoch(training, config, epoch, rates, average, progress)
        }
        if (epoch + 1) % training.judge_every == 0 or epoch + 1 == config.epochs:
            with averaged(training.network, average):
                figures, summary = training.judge(epoch)
            line |= figures
            progress.say(f"epoch {epoch + 1} dev {summary}")
        log(run / "log.jsonl", epoch, line)
        notes = {"epoch": epoch + 1, **training.notes}
        save_resume(run / "resume", training.modules, training.optimizer, average, notes)


def _train_epoch(
    training: Training[B],
    config: RunConfig,
    epoch: int,
    rates: Sequence[float],
    average: dict[str, Tensor],
    progress: Progress,
) -> float:
    """Update network and average once for each batch. Returns the mean loss."""
    optimizer, per_epoch = training.optimizer, training.batches_per_epoch
    updates = per_epoch * config.epochs
    total = 0.0
    cure = "lower learning rates" + (" or less sharpness" if training.sharpness else "")
    training.network.train()
    seed = config.seed * 1000 + epoch
    torch.manual_seed(seed)
    for index, batch in enumerate(training.batches(seed)):
        update = epoch * per_epoch + index
        factor = schedule(update / updates, config.warmup)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        there = moved(batch, device_of(training.network))
        loss = training.loss(there)
        value = _finite(loss, epoch, cure)
        optimizer.zero_grad()
        loss.backward()
        if training.sharpness:
            with _uphill(training.clipped, training.sharpness), _uncounted(training.network):
                optimizer.zero_grad()
                uphill = training.loss(there)
                _finite(uphill, epoch, cure)
                uphill.backward()
        if training.clip_norm is not None:
            nn.utils.clip_grad_norm_(training.clipped, training.clip_norm)
        optimizer.step()
        # The average of few updates is a plain mean, so that it forgets the first weights.
        update_average(average, training.network, min(config.average, (1 + update) / (10 + update)))
        total += value
        progress.advance(update + 1, updates, f"epoch {epoch + 1} loss {value:.3f}")
    return total / per_epoch


def _finite(loss: Tensor, epoch: int, cure: str) -> float:
    """Return the value of a loss. Raises ConfigError where it is not finite."""
    if not math.isfinite(value := loss.item()):
        raise ConfigError(
            f"epoch {epoch + 1}: the loss is {value}, training has diverged; begin another run "
            f"with {cure}"
        )
    return value


@contextmanager
def _uncounted(network: nn.Module) -> Iterator[None]:
    """Keep batch normalisation from counting what it sees, as it is seen with other weights."""
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    yield
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@contextmanager
def _uphill(parameters: Sequence[nn.Parameter], radius: float) -> Iterator[None]:
    """Move parameters along their gradients, `radius` in all, and back where they were.

    The gradient there leads to minima whose surroundings are low, too (sharpness-aware
    minimisation, Foret et al., ICLR 2021).
    """
    moving = [parameter for parameter in parameters if parameter.grad is not None]
    before = [parameter.detach().clone() for parameter in moving]
    norm = nn.utils.get_total_norm([p.grad for p in moving if p.grad is not None])
    with torch.no_grad():
        for parameter in moving:
            assert parameter.grad is not None
            parameter.add_(parameter.grad, alpha=radius / (float(norm) + 1e-12))
    yield
    with torch.no_grad():
        for parameter, value in zip(moving, before, strict=True):
            parameter.copy_(value)


def schedule(done: float, warmup: float) -> float:
    """Return the factor of the learning rate: a linear warm-up, then a cosine to zero.

    `done` and `warmup` are shares of the run, in [0, 1].
    """
    if done < warmup:
        return done / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """Copy the weights and buffers of a network."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


@torch.no_grad()
def update_average(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    """Move the running average of a network's weights by one update, in place."""
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


@torch.no_grad()
def mix_in(network: nn.Module, weights: Mapping[str, Tensor], share: float) -> None:
    """Mix a share of other weights into those of a network, in place.

    What goes on from a model keeps more of what that knew (WiSE-FT, Wortsman et al., CVPR 2022).
    """
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(weights[name].to(value.device), share)


@contextmanager
def averaged(network: nn.Module, average: Mapping[str, Tensor]) -> Iterator[None]:
    """Put the average in the place of a network's weights, for evaluation, and then back."""
    learning = snapshot(network)
    network.load_state_dict(average)
    network.eval()
    try:
        yield
    finally:
        network.load_state_dict(learning)
