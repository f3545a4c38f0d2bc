"""The figures of a memory report on the page of all figures."""

from collections.abc import Callable, Sequence
from typing import Any

from dcet.benchmarks.comparison import Report
from dcet.benchmarks.figure_table import FigureTable
from dcet.benchmarks.memory.measure import EVERYTHING, ONE_NAME


def _row(report: Report) -> Sequence[str]:
    streams = report["streams"]

    def each(cell: Callable[[Any], str]) -> str:
        return "; ".join(map(cell, streams))

    return (
        each(lambda stream: f"{stream['name']} ({stream['turns']:,})"),
        each(lambda stream: f"{stream['weighted_f1']:.3f}"),
        each(lambda stream: _lost(stream, EVERYTHING)),
        each(lambda stream: _lost(stream, ONE_NAME)),
    )


def _lost(stream: Any, name: str) -> str:
    (lost,) = (row["lost"] for row in stream["conditions"] if row["name"] == name)
    return f"{lost['weighted_f1']['value']:+.3f}"


MEMORY_FIGURES = FigureTable(
    title="What the memory is worth (weighted F1)",
    command="dcet-bench memory BUNDLE --turns FILE --json F",
    columns=("turns of", "weighted F1", "lost without memory", "lost without names"),
    row=_row,
)
