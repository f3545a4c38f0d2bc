"""Output of `dcet-train`: progress on stderr, figures on stdout."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dcet.runtime.cli.output import STDOUT, make_console, output_json
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.registry import RECOGNISERS

ROWS = ("n", "weighted_f1", "macro_f1", "accuracy", "uar", "ece", "nll")
TALK_ROWS = ("micro_f1_without_neutral",)
GROUPS = (
    ("same_label", RECOGNISERS),
    ("confidence", ("ece", "auc")),
    ("sentiment", ("mae", "pearson", "ccc")),
    ("shift", ("f1", "always_yes_f1", "auc", "average_precision", "ece", "base_rate")),
)


class ProgressBar:
    """A bar of the updates that are done; see `dcet.training.run.progress`."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)

    def advance(self, done: int, total: int, message: str) -> None:
        self._bar.update(self._task, completed=done, total=total, description=message)

    def say(self, message: str) -> None:
        self._bar.console.print(message)


@contextmanager
def progress_bar() -> Iterator[ProgressBar]:
    """Show a bar on stderr while the block runs."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=make_console(stderr=True),
    ) as bar:
        yield ProgressBar(bar)


def show(figures: Mapping[str, Any], json_path: Path | None) -> None:
    """Print figures by name, for people or for machines."""
    output_json(json_path, figures)
    if json_path == STDOUT:
        return
    if not figures:
        click.echo("no dev split to judge on: give a --corpus")
        return
    parts = figures.values()
    table = Table("", *figures)
    for row in ROWS + tuple(row for row in TALK_ROWS if all(row in part for part in parts)):
        table.add_row(row, *(_with_interval(part, row) for part in parts))
    for emotion in EMOTIONS:
        table.add_row(f"f1 {emotion}", *(number(part["per_class_f1"][emotion]) for part in parts))
    for group, keys in GROUPS:
        if all(group in part for part in parts):
            for key in keys:
                table.add_row(f"{group} {key}", *(number(part[group][key]) for part in parts))
    make_console().print(table)


def _with_interval(figures: Mapping[str, Any], name: str) -> str:
    """Format a figure, and its 95 % interval where there is one."""
    low_high = figures.get("interval_95", {}).get(name)
    ends = f"  ({' to '.join(map(number, low_high))})" if low_high else ""
    return f"{number(figures[name])}{ends}"


class Spread(NamedTuple):
    """A figure of several checkpoints, such as those of several seeds."""

    mean: float
    deviation: float  # standard, of a sample

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(mean(values), stdev(values))


def combined(
    parts: Sequence[Mapping[str, Any]], of: Callable[[Sequence[float]], Any]
) -> dict[str, Any]:
    """Combine the figures of several checkpoints on the same data, each by its name; counts are
    the same in all, and intervals are left out."""
    made: dict[str, Any] = {}
    for name, first in parts[0].items():
        values = [part.get(name) for part in parts]
        if isinstance(first, Mapping) and name != "interval_95":
            made[name] = combined([value or {} for value in values], of)
        elif isinstance(first, float):
            made[name] = of([value for value in values if value is not None])
        elif isinstance(first, int):
            made[name] = first
    return made


def number(value: float | Spread) -> str:
    """Format a count, or a figure with four decimals."""
    if isinstance(value, Spread):
        return f"{value.mean:.4f} ± {value.deviation:.4f}"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
