"""The figures of a room report on the page of all figures."""

from collections.abc import Sequence

from dcet.benchmarks.comparison import Report
from dcet.benchmarks.figure_table import FigureTable
from dcet.benchmarks.room.headlines import KNOWN


def _row(report: Report) -> Sequence[str]:
    values = {row["key"]: row["value"] for row in report["headlines"]}
    return [_cell(values, key) for key in KNOWN]


def _cell(values: Report, key: str) -> str:
    if key not in values:
        return ""
    return "no estimate" if values[key] is None else f"{values[key]:.3f}"


def _column(name: str, bar: float | None) -> str:
    return name if bar is None else f"{name} (bar {bar:g})"


ROOM_FIGURES = FigureTable(
    title="In a room: recordings that nobody acted (lower is better)",
    command="dcet-bench room BUNDLE --data DATA --json F",
    columns=tuple(_column(name, bar) for name, bar in KNOWN.values()),
    row=_row,
)
