"""The comparison of two reports of one kind: what got worse from the first to the second."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from dcet.benchmarks.comparison import (
    LATENCY_TOLERANCE,
    Comparison,
    Report,
    ReportError,
    Row,
    report_errors,
)
from dcet.benchmarks.page.svg import figure
from dcet.benchmarks.reports import KINDS, read_report
from dcet.benchmarks.tables import new_table

# What is compared of any report: a difference may explain one of the figures.
CONDITIONS = {
    "bundle": ("bundle", "sha256"),
    "engine": ("engine", "name"),
    "target": ("target",),
    "data": ("data",),
    "memory reset after every turn": ("reset_memory",),
    "processor": ("machine", "cpu"),
    "cores": ("machine", "cores"),
    "turns measured": ("settings", "turns"),
    "turns of growth": ("settings", "growth_turns"),
}


def compare_reports(before: Path, after: Path, tolerance: float = LATENCY_TOLERANCE) -> Comparison:
    """Compare two reports of one kind; latencies may be slower by the share `tolerance`.

    Raises ReportError when a file is no report, or the two cannot be compared.
    """
    first, second = read_report(before), read_report(after)
    if first["schema"] != second["schema"]:
        raise ReportError(
            f"{before} is {first['schema']} and {after} is {second['schema']}; "
            "compare two reports of the same kind"
        )
    with report_errors(f"{before} or {after}", "write both reports"):
        rows = tuple(KINDS[first["schema"]].compare(first, second, tolerance))
        notes = tuple(_differences(first, second))
    _check_names(before, rows)
    return Comparison(before=before.name, after=after.name, notes=notes, rows=rows)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what differs, and a row a figure with its verdict."""
    for note in comparison.notes:
        console.print(Text.assemble(("differs", "yellow"), f" {note}"))
    table = new_table("", "", comparison.before, comparison.after, "change", "")
    for row in comparison.rows:
        verdict = Text("regressed", "red") if row.regressed else Text("ok", "green")
        table.add_row(row.name, *_change(row), verdict)
    console.print(table)


def _check_names(path: Path, rows: tuple[Row, ...]) -> None:
    """Raise ReportError where two figures could be taken for one another."""
    twice = [name for name, count in Counter(row.name for row in rows).items() if count > 1]
    if twice:
        raise ReportError(
            f"{path}: expected figures of different names, got {twice[0]!r} twice; write both "
            "reports again with this version of dcet-bench"
        )


def _differences(before: Report, after: Report) -> Iterator[str]:
    for name, (first, *rest) in CONDITIONS.items():
        a, b = (report.get(first) for report in (before, after))
        for key in rest:
            a, b = (part.get(key) if part else None for part in (a, b))
        if a != b:
            yield f"{name}: {str(a)[:24]} / {str(b)[:24]}"
    promised = [
        {promise["name"] for promise in report.get("promises", ())} for report in (before, after)
    ]
    for name in sorted(promised[0] ^ promised[1]):
        yield f"promise only in {'the first' if name in promised[0] else 'the second'}: {name}"


def _change(row: Row) -> tuple[str, str, str]:
    """Give before, after and the change: a score's difference, a quantity's share."""
    if not row.unit:
        return f"{row.before:.4f}", f"{row.after:.4f}", f"{row.after - row.before:+.4f}"
    share = f"{row.after / row.before - 1:+.1%}" if row.before > 0 else ""
    return f"{figure(row.before)} {row.unit}", f"{figure(row.after)} {row.unit}", share
