"""`dcet-train`: fit, soft-labels, select, encoder, distill, fuse, evaluate, turns."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dcet.runtime.cli_errors import handle_errors
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.runtime.files import write_json
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.training.corpora.registry import MODALITY_OF

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
                help="Folder of {train,dev}_sent_emo.csv.",
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
    from dcet.training.dialogue.fit import (  # torch takes seconds: only when asked for
        FitConfig,
        fit,
    )

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
    from dcet.training.dialogue.fit import FitConfig
    from dcet.training.dialogue.soft_labels import write_soft_labels

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
    from dcet.training.dialogue.select import select as select_run

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


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that `encoder` and `distill` share."""
    for option in reversed(
        [
            click.option("--modality", required=True, type=click.Choice(list(MODALITIES))),
            click.option(
                "--corpus",
                "corpora",
                multiple=True,
                type=click.Choice(list(MODALITY_OF)),
                help="To learn from; may be given again.",
            ),
            click.option(
                "--data",
                required=True,
                type=click.Path(exists=True),
                help="Folder that holds the corpora's folders, such as crema_d.",
            ),
            click.option(
                "--output", required=True, type=FOLDER, help="The run; if begun, resumed."
            ),
            click.option("--epochs", type=int, help="Instead of the recipe's."),
            click.option("--seed", default=0, show_default=True),
            click.option(
                "--config",
                "changes",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="JSON with other settings to change; config.json of a run names them all.",
            ),
            click.option(
                "--licence",
                "licences",
                multiple=True,
                metavar="NAME=LICENCE",
                callback=_by_name,
                help="Licence of what goes in, kept with the weights; may be given again.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print the dev figures as JSON."),
        ]
    ):
        command = option(command)
    return command


@main.command()
@run_options
@click.option("--text-encoder", help="Of text: a Hugging Face encoder, by hub id or folder.")
@handle_errors
def encoder(
    output: Path,
    as_json: bool,
    text_encoder: str | None,
    epochs: int | None,
    changes: Path | None,
    **options: Any,
) -> None:
    """Train the encoder of one modality from labels.

    \b
    Example:
      dcet-train encoder --modality audio --corpus crema_d --corpus ravdess --data DATA \\
          --output runs/audio
    """
    need_training()
    from dcet.training.encoders.fit_encoder import FitEncoderConfig, fit_encoder

    options |= _changed(changes, epochs)
    if text_encoder is not None:
        options["shape"] = {**options.get("shape", {}), "encoder": text_encoder}
    config = FitEncoderConfig.of(**options)
    with progress_bar() as progress:
        figures = fit_encoder(config, output, progress)
    show(figures, as_json)


@main.command()
@run_options
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    required=True,
    help="A checkpoint, a run, or a Hugging Face model by id or folder; several are an ensemble.",
)
@click.option(
    "--student",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON: its shape. For text: encoder (an id, a folder or 'teacher'), layers, vocabulary.",
)
@handle_errors
def distill(
    output: Path,
    as_json: bool,
    student: Path,
    epochs: int | None,
    changes: Path | None,
    **options: Any,
) -> None:
    """Train a small encoder to answer as larger ones do.

    Without --corpus, DATA is unlabelled: a folder of sounds or pictures, or a text file with an
    utterance a line.

    \b
    Example:
      dcet-train distill --modality text --teacher default --student student.json \\
          --corpus meld --data DATA --output runs/small
    """
    need_training()
    from dcet.training.encoders.distill import DistillConfig
    from dcet.training.encoders.distill import distill as distill_encoder

    options |= {"student": _settings(student), **_changed(changes, epochs)}
    config = DistillConfig.of(**options)
    with progress_bar() as progress:
        figures = distill_encoder(config, output, progress)
    show(figures, as_json)


def _changed(file: Path | None, epochs: int | None) -> dict[str, Any]:
    """What of a recipe is changed."""
    changes = {} if file is None else _settings(file)
    return changes if epochs is None else {**changes, "epochs": epochs}


def _settings(file: Path) -> dict[str, Any]:
    """A JSON object. Raises ConfigError."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{file}: expected a JSON object with settings by name, got {value!r}")
    return value


@main.command()
@click.option("--checkpoint", required=True, help="That reads text: a folder, a run or `default`.")
@click.option("--audio", required=True, help="Run of `encoder` or `distill`.")
@click.option("--face", required=True, help="Run of `encoder` or `distill`.")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder that holds meld, ferplus, crema_d and ravdess.",
)
@click.option("--output", required=True, type=FOLDER, help="The run to write.")
@click.option("--epochs", default=8, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--commercial",
    is_flag=True,
    help="Leave RAVDESS out, and refuse encoders with a non-commercial licence (-NC-) in them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the dev figures as JSON.")
@handle_errors
def fuse(output: Path, as_json: bool, commercial: bool, **options: Any) -> None:
    """Teach a checkpoint that reads to listen and to look too.

    On constructed conversations: the words of MELD, clips and faces of the same emotion. What the
    checkpoint makes of text alone stays exactly as it is.

    \b
    Example:
      dcet-train fuse --checkpoint runs/text --audio runs/audio --face runs/face --data DATA \\
          --output runs/fused
    """
    need_training()
    from dcet.training.fusion.fuse import COMMERCIAL_SPEECH, FuseConfig
    from dcet.training.fusion.fuse import fuse as fuse_senses

    if commercial:
        options["speech"] = COMMERCIAL_SPEECH
    with progress_bar() as progress:
        figures = fuse_senses(FuseConfig(**options), output, progress)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    rows = {name: row for name, row in figures.items() if isinstance(row, Mapping)}
    table = Table("constructed, dev", "weighted_f1", *(f"weight of {name}" for name in MODALITIES))
    for name, row in rows.items():
        weights = (_number(row["modality_weights"][modality]) for modality in MODALITIES)
        table.add_row(name, _number(row["weighted_f1"]), *weights)
    Console().print(table)


@main.command()
@click.argument("checkpoint")
@click.option("--corpus", type=click.Choice(list(MODALITY_OF)), required=True)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder of the corpus, or that which holds it; of MELD, a CSV file too.",
)
@click.option("--split", default="dev", show_default=True)
@click.option(
    "--leave-out",
    "left_out",
    multiple=True,
    type=click.Choice(EMOTIONS),
    help="Neither count this emotion nor let it be an answer; may be given again.",
)
@click.option("--reset-memory", is_flag=True, help="Reset the memory before every turn (ablation).")
@click.option("--json", "json_path", type=FILE, help="Write all figures to this file.")
@handle_errors
def evaluate(checkpoint: str, corpus: str, json_path: Path | None, **options: Any) -> None:
    """Figures of CHECKPOINT (a folder, a run, or `default`) on a corpus.

    MELD is read as conversations, with the memory; clips and faces are classified one by one, by
    the head of the encoder. A voice is known by earlier clips of the same speaker alone. CREMA-D
    has no surprise, which is no possible answer there.

    \b
    Example:
      dcet-train evaluate default --corpus meld --data MELD/dev_sent_emo.csv --json dev.json
    """
    need_training()
    from dcet.training.evaluate import evaluate as evaluate_on

    figures = evaluate_on(checkpoint, corpus, **options)
    if json_path is not None:
        write_json(json_path, figures)
    show({f"{corpus} {options['split']}": figures}, as_json=False)


@main.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds meld, ravdess and ferplus.",
)
@click.option("--split", default="dev", show_default=True)
@click.option("--dialogues", default=40, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
@click.option("--output", required=True, type=FOLDER, help="The folder to write.")
@handle_errors
def turns(data: Path, split: str, output: Path, dialogues: int, seed: int) -> None:
    """Write labelled turns, for `dcet-export --calibration`.

    They are constructed: dialogues of MELD, with clips of RAVDESS and faces of FER+ of the same
    emotion. README.txt in the folder says so, and what their licences ask for.

    \b
    Example:
      dcet-train turns --data DATA --split dev --dialogues 40 --output turns
    """
    need("cv2", extra="train")
    need_training()
    from dcet.data.constructed_turns import write_constructed_turns

    written = write_constructed_turns(data, split, output, dialogues=dialogues, seed=seed)
    click.echo(
        f"{output}: {len(written)} turns of {len(written.conversations)} dialogues, "
        f"constructed, SHA-256 {written.sha256}"
    )


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
    if not figures:
        click.echo("no dev split to judge on: give a --corpus")
        return
    table = Table("", *figures)
    rows = ("n", "weighted_f1", "macro_f1", "accuracy", "uar", "ece", "nll")
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
        if all(group in part for part in figures.values()):
            for key in keys:
                table.add_row(
                    f"{group} {key}", *(_number(part[group][key]) for part in figures.values())
                )
    Console().print(table)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
