"""The figures of a live report on the page of all figures."""

from collections.abc import Sequence

from dcet.benchmarks.comparison import Report
from dcet.benchmarks.figure_table import FigureTable
from dcet.benchmarks.live.headlines import KNOWN


def _row(report: Report) -> Sequence[str]:
    values = {row["key"]: float(row["value"]) for row in report["headlines"]}
    return [f"{values[key]:.3g}" if key in values else "" for key in KNOWN]


def _column(key: str) -> str:
    known = KNOWN[key]
    unit = f" {known.unit}" if known.unit else ""
    return f"{known.name} ({'≥' if known.more else '≤'} {known.bar:g}{unit})"


LIVE_FIGURES = FigureTable(
    title="Live: streams in, estimates out on time",
    command="dcet-bench live BUNDLE --data DATA --json F",
    columns=tuple(map(_column, KNOWN)),
    row=_row,
)
