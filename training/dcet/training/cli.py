"""The commands of `dcet-train`, from `fit` to `turns`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from dcet.runtime.cli.command import Group
from dcet.runtime.cli.options import SEED, FiniteRange, json_option, licence_option
from dcet.runtime.cli.output import STDOUT, make_console, output_json, show_status
from dcet.runtime.cli.paths import OutputFile, OutputFolder
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.training.cli_device import need_training, on_device
from dcet.training.cli_output import Spread, combined, number, progress_bar, show
from dcet.training.corpora.registry import MODALITY_OF, TALK
from dcet.training.settings import read_settings, settings_from

if TYPE_CHECKING:
    import torch

RUN = OutputFolder()
to_checkpoint = click.option(
    "--output",
    required=True,
    type=OutputFolder(replaces="config.json"),
    help="The checkpoint to write.",
)
MODEL = click.Path(path_type=str)  # a folder, or a name that is none
COMMANDLINE = click.core.ParameterSource.COMMANDLINE
EPOCHS, EPOCHS_HELP = click.IntRange(min=1), "Passes over the training data."
SEED_HELP = "Seed of the initial weights and of the order of the data."
RUN_HELP = "The run to write, or to resume."
KEEP_ALL_WORDS = "keep all of it with --vocabulary 0"


@click.group(cls=Group)
def main() -> None:
    """Train and evaluate DCET.

    \b
    Example:
      dcet-train fit --meld MELD --text-encoder sentence-transformers/all-MiniLM-L6-v2 \\
          --output runs/one
      dcet-train evaluate runs/one --corpus meld --data MELD/dev_sent_emo.csv --json dev.json
    """


@contextmanager
def vocabulary_advice(advice: str) -> Iterator[None]:
    """Add the command's own advice to the error of a vocabulary that cannot be cut."""
    from dcet.training.network.vocabulary import FixedVocabulary

    try:
        yield
    except FixedVocabulary as error:
        raise ConfigError(f"{error}; {advice}") from error


def fit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that `fit` and `soft-labels` share."""
    for option in reversed(
        [
            click.option(
                "--text-encoder",
                required=True,
                type=MODEL,
                help="Hugging Face encoder, by hub id or folder; or a checkpoint (a folder, a "
                "run, `default` or `large`), to go on from its encoder and memory.",
            ),
            click.option("--seed", default=0, show_default=True, type=SEED, help=SEED_HELP),
            click.option("--epochs", default=5, show_default=True, type=EPOCHS, help=EPOCHS_HELP),
            click.option(
                "--vocabulary",
                default=12_000,
                show_default=True,
                type=click.IntRange(min=0),
                help="Words the text encoder keeps (WordPiece only); 0 keeps all.",
            ),
        ]
    ):
        command = option(command)
    return command


CONFIG = click.option(
    "--config",
    "changes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with other settings to change; config.json of a run names them all. Options "
    "that are given go before it.",
)
LICENCE = licence_option("Licence of data or encoder, kept with the weights and in every bundle")


MELD = click.Path(exists=True, file_okay=False)
MELD_HELP = "Folder of {train,dev}_sent_emo.csv."


@main.command()
@click.option("--meld", type=MELD, help=MELD_HELP)
@click.option(
    "--dvcea",
    type=click.Path(exists=True, file_okay=False),
    help="In the place of --meld: features, made by `dcet-dvcea build`, of which fusion and memory "
    "are trained; --text-encoder is the one that made those of the text.",
)
@fit_options
@click.option(
    "--also",
    multiple=True,
    type=click.Choice(list(TALK)),
    help="Corpus of talk at large to train on besides MELD; repeatable.",
)
@click.option("--texts", type=MELD, help="Folder of the files of --also, such as xed.csv.")
@click.option("--output", required=True, type=RUN, help=RUN_HELP)
@CONFIG
@click.option(
    "--soft-labels",
    type=click.Path(dir_okay=False),
    help="Out-of-fold soft labels, made by `dcet-train soft-labels`.",
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    type=MODEL,
    help="Checkpoint whose answers are learned beside the labels; repeat it for the mean of "
    "several. Its licences are kept, too.",
)
@LICENCE
@on_device
@json_option("Write the dev figures as JSON")
def fit(
    output: Path,
    json_path: Path | None,
    vocabulary: int,
    meld: str | None,
    dvcea: str | None,
    soft_labels: str | None,
    device: "torch.device",
    also: tuple[str, ...],
    texts: str | None,
    changes: Path | None,
    **options: Any,
) -> None:
    """Train text encoder, fusion and memory together; keep the best epoch on dev.

    With --dvcea the encoders stay as they are, and the bundle takes features of sound and faces.

    \b
    Example:
      dcet-train fit --meld MELD --text-encoder sentence-transformers/all-MiniLM-L6-v2 \\
          --soft-labels runs/soft.npz --seed 1 --output runs/seed1
    """
    if (meld is None) == (dvcea is None):
        raise click.UsageError("expected one of --meld and --dvcea")
    if dvcea is not None and (soft_labels is not None or also or options["teachers"]):
        raise click.UsageError("--soft-labels, --teacher and --also are for --meld")
    if soft_labels is not None and options["teachers"]:
        raise click.UsageError("expected one of --soft-labels and --teacher")
    # torch takes seconds: only when asked for
    from dcet.training.dialogue.fit import FitConfig
    from dcet.training.dialogue.fit import fit as fit_text
    from dcet.training.dialogue.fit_dvcea import FitDvceaConfig, fit_dvcea

    with vocabulary_advice(KEEP_ALL_WORDS), progress_bar() as progress:
        if dvcea is not None:
            del options["teachers"]
            settings = _configured({**options, "dvcea": dvcea}, changes)
            features_config = settings_from(FitDvceaConfig, settings, "--config")
            figures = fit_dvcea(features_config, output, progress, device)
        else:
            options |= {"meld": meld, "also": also, "texts": texts, "soft_labels": soft_labels}
            settings = _configured({**options, "vocabulary": vocabulary}, changes)
            settings["vocabulary"] = settings["vocabulary"] or None
            config = settings_from(FitConfig, settings, "--config")
            figures = fit_text(config, output, progress, device)
    show(figures, json_path)


@main.command("soft-labels")
@click.option("--meld", required=True, type=MELD, help=MELD_HELP)
@fit_options
@click.option(
    "--folds",
    default=3,
    show_default=True,
    type=click.IntRange(min=2),
    help="Parts of the data, each labelled by a model trained on the others.",
)
@click.option("--runs", required=True, type=RUN, help="Folder for the runs of the folds.")
@click.option("--output", required=True, type=OutputFile(), help="The .npz file to write.")
@on_device
def soft_labels(
    folds: int, runs: Path, output: Path, vocabulary: int, device: "torch.device", **options: Any
) -> None:
    """Predict every training turn by a model that was not trained on it (out-of-fold).

    \b
    Example:
      dcet-train soft-labels --meld MELD --text-encoder sentence-transformers/all-MiniLM-L6-v2 \\
          --runs runs/folds --output runs/soft.npz
    """
    from dcet.training.dialogue.fit import FitConfig
    from dcet.training.dialogue.soft_labels import write_soft_labels

    config = FitConfig(vocabulary=vocabulary or None, **options)
    with vocabulary_advice(KEEP_ALL_WORDS), progress_bar() as progress:
        write_soft_labels(config, runs, output, folds, progress, device)
    click.echo(f"wrote {output}")


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--meld",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder of {train,dev}_sent_emo.csv.",
)
@to_checkpoint
@click.option("--card", type=click.Path(exists=True, path_type=Path), help="Model card to add.")
@json_option("Write the figures as JSON")
def select(
    runs: tuple[Path, ...], meld: Path, output: Path, card: Path | None, json_path: Path | None
) -> None:
    """Keep the best on dev of several RUNS and the average of their weights.

    \b
    Example:
      dcet-train select runs/seed0 runs/seed1 runs/seed2 --meld MELD --output checkpoint
    """
    need_training()
    from dcet.training.dialogue.select import select as select_run

    with show_status() as status:
        status(f"{len(runs)} runs and their average on dev")
        metrics = select_run(runs, meld, output, card)
    output_json(json_path, metrics)
    if json_path == STDOUT:
        return
    table = Table("dev", "weighted_f1", "memory reset")
    for seed, *values in zip(*metrics["ablation"].values(), strict=True):
        table.add_row(f"seed {seed}", *(number(value) for value in values))
    table.add_section()
    kept = (metrics[part]["weighted_f1"] for part in ("dev", "dev_memory_reset"))
    table.add_row(f"kept: {metrics['kept']}", *(number(value) for value in kept))
    make_console().print(table)


@main.command()
@click.argument("checkpoint", type=MODEL)
@click.option(
    "--meld",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of dev_sent_emo.csv and, for --prior-adjustment, train_sent_emo.csv.",
)
@to_checkpoint
@click.option(
    "--prior-adjustment",
    type=FiniteRange(-2, 2),
    help="Of text alone: above 0 rare emotions are predicted more often, below 0 less often, as in "
    "everyday talk, most of which is neutral.  [default: as it is]",
)
@on_device
@json_option("Write the dev figures as JSON")
def calibrate(
    checkpoint: str,
    meld: Path,
    output: Path,
    prior_adjustment: float | None,
    device: "torch.device",
    json_path: Path | None,
) -> None:
    """Fit temperature, confidence and shift of CHECKPOINT anew.

    CHECKPOINT is a folder, a run, `default` or `large`. They are fitted to the dev split, of text
    alone; what audio and faces have a part in is fitted by `dcet-train fuse`, and stays.

    \b
    Example:
      dcet-train calibrate default --meld MELD --output checkpoint
    """
    from dcet.training.dialogue.temperature import recalibrate

    with show_status() as status:
        status(f"{checkpoint} on dev")
        figures = recalibrate(checkpoint, meld, output, device, prior_adjustment=prior_adjustment)
    show(figures, json_path)


@main.command()
@click.argument("checkpoint", type=MODEL)
@to_checkpoint
@json_option("Write what was made as JSON")
def pack(checkpoint: str, output: Path, json_path: Path | None) -> None:
    """Store the large matrices of CHECKPOINT in INT8, with a scale for each row.

    They take half the bytes that they take in FP16. CHECKPOINT is a folder, a run, `default` or
    `large`. Its card and figures go along as they are; `dcet-train evaluate` tells what the
    rounding costs.

    \b
    Example:
      dcet-train pack runs/fused --output packed
    """
    from dcet.training.saved.checkpoint import load, save

    with show_status() as status:
        status(f"{checkpoint} in INT8")
        save(output, load(checkpoint), packed=True)
    size_bytes = (output / "model.safetensors").stat().st_size
    if json_path != STDOUT:
        click.echo(f"wrote {output}, {size_bytes / 1e6:.1f} MB of weights")
    output_json(json_path, {"folder": str(output), "weights_bytes": size_bytes})


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that `encoder` and `distill` share."""
    command = on_device(json_option("Write the dev figures as JSON")(command))
    for option in reversed(
        [
            click.option(
                "--modality",
                required=True,
                type=click.Choice(list(MODALITIES)),
                help="Input of the encoder.",
            ),
            click.option(
                "--corpus",
                "corpora",
                multiple=True,
                type=click.Choice(list(MODALITY_OF)),
                help="Corpus to train on; repeatable.",
            ),
            click.option(
                "--data",
                required=True,
                type=click.Path(exists=True),
                help="Folder that holds the corpora's folders, such as crema_d.",
            ),
            click.option("--output", required=True, type=RUN, help=RUN_HELP),
            click.option(
                "--epochs", type=EPOCHS, help="Passes over the data  [default: the recipe's]"
            ),
            click.option("--seed", default=0, show_default=True, type=SEED, help=SEED_HELP),
            CONFIG,
            LICENCE,
        ]
    ):
        command = option(command)
    return command


@main.command()
@run_options
@click.option(
    "--text-encoder", type=MODEL, help="For text: a Hugging Face encoder, by hub id or folder."
)
def encoder(
    output: Path,
    json_path: Path | None,
    text_encoder: str | None,
    changes: Path | None,
    device: "torch.device",
    **options: Any,
) -> None:
    """Train the encoder of one modality from labels.

    \b
    Example:
      dcet-train encoder --modality audio --corpus crema_d --corpus ravdess --data DATA \\
          --output runs/audio
    """
    from dcet.training.encoders.fit_encoder import FitEncoderConfig, fit_encoder

    options = _configured(options, changes)
    shape = options.get("shape", {})
    if text_encoder is not None and isinstance(shape, dict):
        options["shape"] = {**shape, "encoder": text_encoder}
    config = FitEncoderConfig.of(**options)
    advice = "leave vocabulary out of the shape in --config"
    with vocabulary_advice(advice), progress_bar() as progress:
        figures = fit_encoder(config, output, progress, device)
    show(figures, json_path)


@main.command()
@run_options
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    required=True,
    type=MODEL,
    help="A checkpoint, a run, or a Hugging Face model by id or folder; several are an ensemble.",
)
@click.option(
    "--student",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with its shape. For text: encoder (id, folder or 'teacher'), layers, vocabulary.",
)
def distill(
    output: Path,
    json_path: Path | None,
    student: Path,
    changes: Path | None,
    device: "torch.device",
    **options: Any,
) -> None:
    """Distil a smaller encoder from one or more teachers.

    Without --corpus, DATA is unlabelled: a folder of sounds or pictures, or a text file with one
    utterance per line.

    \b
    Example:
      dcet-train distill --modality text --teacher default --student student.json \\
          --corpus meld --data DATA --output runs/small
    """
    from dcet.training.encoders.distill import DistillConfig
    from dcet.training.encoders.distill import distill as distill_encoder

    settings = _configured(options, changes)
    config = DistillConfig.of(**{**settings, "student": read_settings(student)})
    advice = f"leave vocabulary out of --student {student}"
    with vocabulary_advice(advice), progress_bar() as progress:
        figures = distill_encoder(config, output, progress, device)
    show(figures, json_path)


@main.command()
@click.option(
    "--teacher",
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Silero's silero_vad.onnx, which lies in the wheel silero-vad.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder that holds ami, ravdess, emogator and noise_rooms.",
)
@click.option("--output", required=True, type=RUN, help=RUN_HELP)
@click.option("--epochs", default=18, show_default=True, type=EPOCHS, help=EPOCHS_HELP)
@click.option("--seed", default=0, show_default=True, type=SEED, help=SEED_HELP)
@CONFIG
@LICENCE
@on_device
@json_option("Write the dev figures as JSON")
def speech(
    output: Path,
    json_path: Path | None,
    changes: Path | None,
    device: "torch.device",
    **options: Any,
) -> None:
    """Train the detector of voices, which learns from Silero's.

    On mixtures of voices and other sounds. What is shown are figures on held-out recordings, beside
    the teacher's: AUC over hops of meetings, and shares of sounds called a voice.

    \b
    Example:
      dcet-train speech --teacher silero_vad.onnx --data DATA --output runs/speech
    """
    from dcet.training.speech.fit_speech import FitSpeechConfig, fit_speech

    settings = _configured(options, changes)
    with progress_bar() as progress:
        config = settings_from(FitSpeechConfig, settings, "--config")
        figures = fit_speech(config, output, progress, device)
    output_json(json_path, figures)
    if json_path == STDOUT:
        return
    table = Table("dev", *figures)
    for row in next(iter(figures.values())):
        table.add_row(row, *(number(of[row]) for of in figures.values()))
    make_console().print(table)


def _configured(options: Mapping[str, Any], changes: Path | None) -> dict[str, Any]:
    """Join options and the file of --config: what the command line names goes before the file.

    Options that are None are left to the defaults of the settings.
    """
    source = click.get_current_context().get_parameter_source
    given = {name: value for name, value in options.items() if value is not None}
    named = {name: value for name, value in given.items() if source(name) is COMMANDLINE}
    return {**given, **read_settings(changes), **named}


@main.command()
@click.option(
    "--checkpoint",
    required=True,
    type=MODEL,
    help="Checkpoint with a text encoder: a folder, a run, `default` or `large`.",
)
@click.option(
    "--audio",
    required=True,
    type=MODEL,
    help="Audio run of `encoder` or `distill`, or a checkpoint.",
)
@click.option(
    "--face", required=True, type=MODEL, help="Face run of `encoder` or `distill`, or a checkpoint."
)
@click.option(
    "--speech",
    "detector",
    type=MODEL,
    help="Run of `speech`, or a checkpoint that has its detector.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder that holds meld, ferplus, crema_d and ravdess.",
)
@click.option(
    "--unacted",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Folder of talk that nobody acted, so that it is familiar; repeatable.",
)
@click.option("--output", required=True, type=RUN, help=RUN_HELP)
@click.option("--epochs", default=8, show_default=True, type=EPOCHS, help=EPOCHS_HELP)
@click.option("--seed", default=0, show_default=True, type=SEED, help=SEED_HELP)
@click.option(
    "--commercial",
    is_flag=True,
    help="Leave RAVDESS out, and refuse what has a non-commercial licence (-NC-) in it, or none.",
)
@on_device
@json_option("Write the dev figures as JSON")
def fuse(
    output: Path, json_path: Path | None, commercial: bool, device: "torch.device", **options: Any
) -> None:
    """Fuse a checkpoint's text encoder with an audio and a face encoder.

    On constructed conversations: the text of MELD, clips and faces of the same emotion. The outputs
    for text alone stay exactly as they are.

    \b
    Example:
      dcet-train fuse --checkpoint runs/text --audio runs/audio --face runs/face --data DATA \\
          --output runs/fused
    """
    from dcet.training.fusion.fuse import COMMERCIAL_SPEECH, FuseConfig
    from dcet.training.fusion.fuse import fuse as fuse_senses

    if commercial:
        options["speech"] = COMMERCIAL_SPEECH
    with progress_bar() as progress:
        figures = fuse_senses(FuseConfig(**options), output, progress, device)
    output_json(json_path, figures)
    if json_path == STDOUT:
        return
    rows = {name: row for name, row in figures.items() if isinstance(row, Mapping)}
    table = Table("constructed, dev", "weighted_f1", *(f"weight of {name}" for name in MODALITIES))
    for name, row in rows.items():
        weights = (number(row["modality_weights"][modality]) for modality in MODALITIES)
        table.add_row(name, number(row["weighted_f1"]), *weights)
    make_console().print(table)


@main.command()
@click.argument("checkpoints", nargs=-1, required=True, type=MODEL)
@click.option(
    "--corpus",
    type=click.Choice(list(MODALITY_OF)),
    required=True,
    help="Corpus to evaluate on.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder of the corpus, or its parent folder; for MELD also a CSV file.",
)
@click.option("--split", default="dev", show_default=True, help="Part of the corpus.")
@click.option(
    "--leave-out",
    "left_out",
    multiple=True,
    type=click.Choice(EMOTIONS),
    help="Neither count this emotion nor allow it as an answer; repeatable.",
)
@click.option("--reset-memory", is_flag=True, help="Reset the memory before every turn (ablation).")
@on_device
@json_option("Write all figures as JSON")
def evaluate(
    checkpoints: tuple[str, ...], corpus: str, json_path: Path | None, **options: Any
) -> None:
    """Show the figures of CHECKPOINTS (folders, runs, `default` or `large`) on a corpus.

    Of several, such as runs of several seeds: the mean and the standard deviation of each figure.

    MELD is evaluated as conversations, with the memory; clips and faces are classified one by one,
    by the head of the encoder. Clips are normalised by earlier ones of the same speaker alone.
    CREMA-D has no surprise, which is no possible answer there.

    \b
    Example:
      dcet-train evaluate default --corpus meld --data MELD/dev_sent_emo.csv --json dev.json
    """
    from dcet.training.evaluate import evaluate as evaluate_on

    runs: dict[str, Mapping[str, Any]] = {}
    with show_status() as status:
        for checkpoint in checkpoints:
            status(f"{checkpoint} on {corpus}, {options['split']}")
            runs[checkpoint] = evaluate_on(checkpoint, corpus, **options)
    shown, *others = parts = list(runs.values())
    written, title = shown, f"{corpus} {options['split']}"
    if others:
        shown, title = combined(parts, Spread.of), f"{title}, mean of {len(parts)} ± deviation"
        written = {
            "runs": runs,
            "mean": combined(parts, mean),
            "standard_deviation": combined(parts, stdev),
        }
    if json_path != STDOUT:
        show({title: shown}, None)
    output_json(json_path, written)


@main.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds meld, ravdess and ferplus.",
)
@click.option("--split", default="dev", show_default=True, help="Part of the corpus.")
@click.option(
    "--dialogues",
    default=40,
    show_default=True,
    type=click.IntRange(min=1),
    help="Maximum number of dialogues.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=SEED,
    help="Seed of the choice of dialogues, clips and faces.",
)
@click.option(
    "--output",
    required=True,
    type=OutputFolder(replaces="turns.jsonl"),
    help="The folder to write.",
)
@json_option("Write what was made, and its SHA-256, as JSON")
def turns(
    data: Path, split: str, output: Path, dialogues: int, seed: int, json_path: Path | None
) -> None:
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

    with show_status() as status:
        status(f"turns of at most {dialogues} dialogues")
        written = write_constructed_turns(data, split, output, dialogues=dialogues, seed=seed)
    facts = {"turns": len(written), "dialogues": len(written.conversations)}
    if json_path != STDOUT:
        click.echo(
            f"{output}: {facts['turns']} turns of {facts['dialogues']} dialogues, "
            f"constructed, SHA-256 {written.sha256}"
        )
    output_json(json_path, {"folder": str(output), **facts, "sha256": written.sha256})
