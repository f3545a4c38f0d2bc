"""The search for a latency budget, as `dcet-export --budget-ms` shows it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import click
from rich.table import Table

from dcet.export.budget import Search, search_budget
from dcet.export.exporter import Exporter, in_precision
from dcet.export.int8_bound import Bound
from dcet.export.names import name_of
from dcet.runtime.cli.output import STDOUT, make_console, output_json, show_status
from dcet.targets import Target
from dcet.training.saved.checkpoint import load


def search_and_show(
    students: Sequence[str],
    target: Target,
    precisions: Sequence[str],
    bound: Bound,
    budget_ms: float,
    output: Path,
    json_path: Path | None,
) -> None:
    """Write the best bundle and print the Pareto table. Raises what `search_budget` raises."""
    with show_status() as status:
        status("labelled turns")
        turns = bound.labelled

        @cache
        def exporter(student: str) -> Exporter:
            return Exporter(load(student), name_of(student), bound=bound)

        def export(student: str, precision: str, file: Path) -> None:
            chosen = exporter(student)
            chosen.progress = lambda message: status(f"{student} in {precision}: {message}")
            chosen.write_verified(in_precision(target, precision), file)

        found = search_budget(
            students,
            precisions,
            turns,
            budget_ms,
            output,
            export=export,
            progress=status,
        )
    shown = {"bundle": str(output), "size_bytes": output.stat().st_size, **found.as_dict()}
    output_json(json_path, shown)
    if json_path != STDOUT:
        _show(found, output)


def _show(found: Search, output: Path) -> None:
    table = Table(
        title=f"of {len(found.candidates)} candidates on {found.engine}, those that none faster "
        f"equals; audio: windows of 3 s a turn, face: faces a turn; weighted F1 of {found.turns}",
        title_justify="left",
    )
    for name in ("student", "precision", *found.chosen.limits, "MB", "p50 ms", "p95 ms", "F1", ""):
        table.add_column(name)
    for row in found.candidates:
        if row not in found.front and row != found.chosen:
            continue
        mark = "chosen" if row == found.chosen else "too slow" * (row.p95_ms > found.budget_ms)
        table.add_row(
            row.student,
            row.precision,
            *map(str, row.limits.values()),
            f"{row.size_bytes / 1e6:.1f}",
            f"{row.p50_ms:.1f}",
            f"{row.p95_ms:.1f}",
            f"{row.weighted_f1:.4f}",
            mark,
        )
    make_console().print(table)
    size_mb = output.stat().st_size / 1e6
    chosen = found.chosen
    click.echo(
        f"{output}  {chosen.student} in {chosen.precision}, {size_mb:.1f} MB: "
        f"{found.confirmed_p95_ms:.1f} ms (p95) of "
        f"{found.budget_ms:g} ms, measured again by itself"
    )
