"""`dcet-train`: soft-labels, fit, select, evaluate."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dcet.runtime.cli import handle_errors
from dcet.runtime.extras import need
from dcet.runtime.files import write_json
from dcet.runtime.labels import EMOTIONS

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train and evaluate DCET.

    \b
    Example:
      dcet-train fit --meld MELD --text-encoder sentence-transformers/all-MiniLM-L6-v2 \\
          --output runs/one
      dcet-train evaluate runs/one --corpus meld --data MELD/dev_sent_emo.csv --json dev.json
    """


def _by_name(
    _context: click.Context, _option: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"expected NAME=LICENCE, got {pair!r}")
    return dict(pair.split("=", 1) for pair in pairs)


def need_training() -> None:
    """Raise MissingExtra now rather than ModuleNotFoundError from somewhere inside."""
    for package in ("safetensors", "torch", "transformers"):
        need(package, extra="train")


def fit_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that `fit` and `soft-labels` share."""
    for option in reversed(
        [
            click.option(
                "--meld",
                required=True,
                type=click.Path(exists=True, file_okay=False),
                help="Folder of {train,dev}_sent_emo.csv, and *_prosody.npz if there are any.",
            ),
            click.option(
                "--text-encoder", required=True, help="Hugging Face encoder, by hub id or folder."
            ),
            click.option("--seed", default=0, show_default=True),
            click.option("--epochs", default=5, show_default=True),
            click.option(
                "--vocabulary",
                default=12_000,
                show_default=True,
                help="Words the text encoder keeps (WordPiece only); 0 keeps all.",
            ),
        ]
    ):
        command = option(command)
    return command


@main.command()
@fit_options
@click.option("--output", required=True, type=FOLDER, help="The run; begun before, it is resumed.")
@click.option(
    "--soft-labels",
    type=click.Path(dir_okay=False),
    help="Opinions made by `dcet-train soft-labels`.",
)
@click.option(
    "--licence",
    "licences",
    multiple=True,
    metavar="NAME=LICENCE",
    callback=_by_name,
    help="Licence of what goes in, kept with the weights and in every bundle; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the dev figures as JSON.")
@handle_errors
def fit(output: Path, as_json: bool, vocabulary: int, **options: Any) -> None:
    """Train text encoder, fusion and memory together; keep what was best on dev.

    \b
    Example:
      dcet-train fit --meld MELD --text-encoder sentence-transformers/all-MiniLM-L6-v2 \\
          --soft-labels runs/soft.npz --seed 1 --output runs/seed1
    """
    need_training()
    from dcet.training.fit import FitConfig, fit  # torch takes seconds: only when asked for

    config = FitConfig(vocabulary=vocabulary or None, **options)
    with progress_bar() as progress:
        figures = fit(config, output, progress)
    show(figures, as_json)


@main.command("soft-labels")
@fit_options
@click.option("--folds", default=3, show_default=True)
@click.option("--runs", required=True, type=FOLDER, help="Where the folds' runs go.")
@click.option("--output", required=True, type=FILE, help="The npz to write.")
@handle_errors
def soft_labels(folds: int, runs: Path, output: Path, vocabulary: int, **options: Any) -> None:
    """Ask models that never saw a turn in training what they think of it.

    \b
    Example:
      dcet-train soft-labels --meld MELD --text-encoder sentence-transformers/all-MiniLM-L6-v2 \\
          --runs runs/folds --output runs/soft.npz
    """
    need_training()
    from dcet.training.fit import FitConfig
    from dcet.training.soft_labels import write_soft_labels

    config = FitConfig(vocabulary=vocabulary or None, **options)
    with progress_bar() as progress:
        write_soft_labels(config, runs, output, folds, progress)
    click.echo(f"wrote {output}")


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--meld", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--output", required=True, type=FOLDER, help="The checkpoint to write.")
@click.option("--card", type=click.Path(exists=True, path_type=Path), help="Its model card.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@handle_errors
def select(
    runs: tuple[Path, ...], meld: Path, output: Path, card: Path | None, as_json: bool
) -> None:
    """Keep what is best on dev: one of several RUNS, or the average of their weights.

    \b
    Example:
      dcet-train select runs/seed0 runs/seed1 runs/seed2 --meld MELD --output checkpoint
    """
    need_training()
    from dcet.training.select import select as select_run

    metrics = select_run(runs, meld, output, card)
    if as_json:
        click.echo(json.dumps(metrics, indent=2))
        return
    table = Table("dev", "weighted_f1", "memory reset")
    for seed, *values in zip(*metrics["ablation"].values(), strict=True):
        table.add_row(f"seed {seed}", *(_number(value) for value in values))
    table.add_section()
    kept = (metrics[part]["weighted_f1"] for part in ("dev", "dev_memory_reset"))
    table.add_row(f"kept: {metrics['kept']}", *(_number(value) for value in kept))
    Console().print(table)


@main.command()
@click.argument("checkpoint")
@click.option("--corpus", type=click.Choice(["meld"]), required=True)
@click.option(
    "--data", required=True, type=click.Path(exists=True, path_type=Path), help="CSV file."
)
@click.option("--prosody", type=click.Path(exists=True, path_type=Path), help="Its prosody (npz).")
@click.option("--reset-memory", is_flag=True, help="Reset the memory before every turn (ablation).")
@click.option("--json", "json_path", type=FILE, help="Write all figures to this file.")
@handle_errors
def evaluate(
    checkpoint: str,
    corpus: str,
    data: Path,
    prosody: Path | None,
    reset_memory: bool,
    json_path: Path | None,
) -> None:
    """Figures of CHECKPOINT (a folder, a run, or `default`) on a corpus.

    \b
    Example:
      dcet-train evaluate default --corpus meld --data MELD/dev_sent_emo.csv --json dev.json
    """
    need_training()
    from dcet.training.checkpoint import load
    from dcet.training.evaluate import evaluate_meld

    figures = evaluate_meld(load(checkpoint), data, prosody, remember=not reset_memory)
    if json_path is not None:
        write_json(json_path, figures)
    show({data.name: figures}, as_json=False)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr; what is said of an epoch stays on the screen."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("starting", total=None)

        def progress(done: int, total: int, message: str) -> None:
            if " dev " in message:
                bar.console.print(message)
            bar.update(task, completed=done, total=total, description=message)

        yield progress


def show(figures: Mapping[str, Any], as_json: bool) -> None:
    """Print figures by name, for people or for machines."""
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    table = Table("", *figures)
    rows = ("n", "weighted_f1", "macro_f1", "accuracy", "ece", "nll")
    for row in rows:
        table.add_row(row, *(_number(part[row]) for part in figures.values()))
    for emotion in EMOTIONS:
        table.add_row(
            f"f1 {emotion}", *(_number(part["per_class_f1"][emotion]) for part in figures.values())
        )
    for group, keys in (
        ("sentiment", ("mae", "pearson", "ccc")),
        ("shift", ("f1", "average_precision")),
    ):
        for key in keys:
            table.add_row(
                f"{group} {key}", *(_number(part[group][key]) for part in figures.values())
            )
    Console().print(table)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
