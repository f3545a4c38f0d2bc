"""The accuracy report: the figures of `dcet-train evaluate`, through the bundle and the runtime."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from dcet.benchmarks.comparison import Report, ReportError, Row, at, score_row
from dcet.benchmarks.figure_table import FigureTable
from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.progress import Track
from dcet.benchmarks.tables import new_table, print_identity
from dcet.data.answers import SHOWN, dialogue_figures
from dcet.data.meld import Utterance, read_meld
from dcet.data.playing import answers
from dcet.runtime import Bundle, Conversation, Estimate
from dcet.runtime.errors import DataError

ACCURACY_SCHEMA = "dcet-bench/accuracy/1"
HIGHER_IS_BETTER = (
    ("weighted_f1",),
    ("macro_f1",),
    ("accuracy",),
    ("sentiment", "ccc"),
    ("shift", "f1"),
    ("shift", "average_precision"),
)
LOWER_IS_BETTER = (("sentiment", "mae"), ("ece",), ("nll",))


@dataclass(frozen=True, kw_only=True)
class AccuracyReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    machine: Machine
    corpus: str
    data: str  # the file's name, without the folder
    reset_memory: bool  # after every turn
    metrics: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it; metrics have the keys of `dcet-train evaluate`."""
        identity = asdict(self)
        metrics = identity.pop("metrics")
        return {"schema": ACCURACY_SCHEMA, **identity, **metrics}


def measure_accuracy(
    bundle: Bundle, engine: str, corpus: str, data: Path, *, reset_memory: bool, track: Track
) -> AccuracyReport:
    """Play every dialogue of a MELD-style CSV; the memory starts empty with each.

    An utterance that the bundle cannot use counts as `dcet.data.answers` says. A turn without a
    shift (the first one of a speaker) counts as shift probability 0; with `reset_memory` that is
    every turn. Raises DataError.
    """
    machine = read_machine()
    dialogues = read_meld(data)
    if not dialogues:
        raise DataError(f"{data}: no utterance to play; expected at least one row")
    speakers = max(len({turn.speaker for turn in dialogue.turns}) for dialogue in dialogues)
    conversation = Conversation(bundle, engine, max_speakers=speakers)

    def take(turn: Utterance) -> Estimate:
        estimate = conversation.turn(turn.speaker, turn.text)
        if reset_memory:
            conversation.reset()
        return estimate

    played = [
        (turn, result)
        for dialogue in track(dialogues, "dialogues")
        for turn, result in zip(
            dialogue.turns, answers(conversation, dialogue.turns, take), strict=True
        )
    ]
    metrics = dialogue_figures(
        data,
        dialogues,
        [result.answer for _, result in played],
        [turn for turn, result in played if result.estimate is None],
    )
    return AccuracyReport(
        created=now(),
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, engine),
        machine=machine,
        corpus=corpus,
        data=data.name,
        reset_memory=reset_memory,
        metrics=metrics,
    )


def print_accuracy(report: AccuracyReport, console: Console) -> None:
    """Print the figures of a report, one a line."""
    memory = "memory reset after every turn" if report.reset_memory else "with memory"
    metrics = report.metrics
    print_identity(report.bundle, report.engine, console)
    console.print(f"{report.data}: {metrics['n']:,} utterances, {memory}")
    if count := metrics["unusable"]["n"]:
        console.print(
            f"{count:,} of them could not be used, and count with the speaker's last estimate or "
            f"as neutral: {'; '.join(metrics['unusable']['first'])}{' …' if count > SHOWN else ''}",
            style="yellow",
        )
    table = new_table("", "", "")
    for name in ("weighted_f1", "macro_f1", "accuracy", "ece", "nll"):
        table.add_row(name, f"{metrics[name]:.4f}")
    for group in ("sentiment", "shift", "per_class_f1"):
        for name, value in metrics[group].items():
            table.add_row(f"{group}.{name}", f"{value:.4f}")
    console.print(table)


def compare_accuracy(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare scores; `tolerance` is that of latencies, of which there are none.

    Raises ReportError where other utterances were played.
    """
    if (before["corpus"], before["n"]) != (after["corpus"], after["n"]):
        raise ReportError(
            f"the first is about {before['n']} utterances of {before['corpus']}, the second about "
            f"{after['n']} of {after['corpus']}; measure both on the same file"
        )
    for paths, lower_is_better in ((HIGHER_IS_BETTER, False), (LOWER_IS_BETTER, True)):
        for path in paths:
            yield score_row(
                ".".join(path),
                at(before, *path),
                at(after, *path),
                lower_is_better=lower_is_better,
            )


def _figures(report: Report) -> Sequence[str]:
    return (
        f"{report['corpus']}, {report['data']}{', memory reset' if report['reset_memory'] else ''}",
        f"{report['n']:,}",
        *(f"{report[name]:.3f}" for name in ("weighted_f1", "accuracy", "uar", "ece")),
        f"{report['unusable']['n']:,}",
    )


ACCURACY_FIGURES = FigureTable(
    title="Accuracy through the bundle",
    command="dcet-bench accuracy BUNDLE --corpus meld --data FILE.csv --json F",
    columns=("data", "n", "weighted F1", "accuracy", "UAR", "ECE", "unusable"),
    row=_figures,
)
