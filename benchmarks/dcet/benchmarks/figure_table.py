"""The table of one kind of report on the page of all figures: one row a report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dcet.benchmarks.comparison import Report


@dataclass(frozen=True, kw_only=True)
class FigureTable:
    """The figures of all reports of one kind."""

    title: str
    command: str  # that writes such a report
    columns: tuple[str, ...]
    row: Callable[[Report], Sequence[str]]  # one cell a column
