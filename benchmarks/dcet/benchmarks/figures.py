"""The page of all figures, `docs/benchmarks.md`, made from the reports in a folder."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dcet.benchmarks.comparison import Report, ReportError, report_errors
from dcet.benchmarks.reports import KINDS, read_report

RECORDED_SCHEMA = "dcet-bench/recorded/1"  # figures of which no report was kept
COMMON = ("machine", "bundle", "engine")
HEAD = """# Benchmarks

All figures of DCET, by machine and precision. Accuracy is on dev splits; no test split was used.

This page is made from the JSON files in `benchmarks/results`, each as `dcet-bench` wrote it, by

    dcet-bench figures benchmarks/results docs/benchmarks.md

To add a machine, put the JSON of a report there and run that again."""
EARLIER = """## Earlier figures

No report was kept of these; they were written down when they were measured, with the command and
the machine."""


def render_figures(folder: Path) -> str:
    """Make the page of all reports in `folder`, in Markdown. Raises ReportError."""
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ReportError(f"{folder}: expected reports of dcet-bench, *.json, got none")
    found = {path: read_report(path, (*KINDS, RECORDED_SCHEMA)) for path in paths}
    recorded = {path: one for path, one in found.items() if one["schema"] == RECORDED_SCHEMA}
    sections = [HEAD]
    for schema in KINDS:
        of_kind = {path: report for path, report in found.items() if report["schema"] == schema}
        if of_kind:
            sections.append(_section(schema, of_kind))
    if recorded:
        sections.append(EARLIER)
        for path, report in recorded.items():
            with report_errors(str(path), "write it"):
                sections += map(_earlier, report["tables"])
    return "\n\n".join(sections) + "\n"


def _section(schema: str, reports: Mapping[Path, Report]) -> str:
    table = KINDS[schema].figures
    columns = (*COMMON, *table.columns, "date", "report")
    rows = [_row(path, report, table.row) for path, report in reports.items()]
    return f"## {table.title}\n\n`{table.command}`\n\n{_markdown(columns, rows)}"


def _row(path: Path, report: Report, figures: Callable[[Report], Sequence[str]]) -> tuple[str, ...]:
    with report_errors(str(path), "write the report"):
        cells = (*_common(report), *figures(report), report["created"][:10], f"`{path.name}`")
        return tuple(map(_escaped, cells))


def _common(report: Report) -> Iterator[str]:
    """Give machine, bundle and engine."""
    machine, bundle = report["machine"], report["bundle"]
    cores = "1 core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    yield f"{machine['cpu']}, {cores}"
    yield f"{bundle['name']} {bundle['version']}, {bundle['target']}, {_precision(bundle)}"
    yield report["engine"]["name"]


def _precision(bundle: Mapping[str, Any]) -> str:
    """Give the one precision of all graphs, or each with its graphs."""
    graphs: dict[str, list[str]] = {}
    for graph, precision in bundle["precision"].items():
        graphs.setdefault(precision, []).append(graph)
    if len(graphs) == 1:
        return next(iter(graphs))
    return ", ".join(f"{precision} ({', '.join(of)})" for precision, of in graphs.items())


def _earlier(table: Mapping[str, Any]) -> str:
    note = f"\n\n{table['note']}" if table["note"] else ""
    return (
        f"### {table['title']}\n\n`{table['command']}`. Machine: {table['machine']}.{note}\n\n"
        f"{_markdown(*_escaped_rows(table))}"
    )


def _escaped_rows(table: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Give the columns and the rows of a table. Raises TypeError or ValueError."""
    columns, *rows = ([*map(_escaped, cells)] for cells in (table["columns"], *table["rows"]))
    if any(len(row) != len(columns) for row in rows):
        raise ValueError(f"{table['title']}: a row of other length than its columns")
    return columns, rows


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _escaped(cell: str) -> str:
    """Keep a cell in its place: neither a bar nor a line break ends it."""
    return " ".join(cell.replace("|", "\\|").splitlines())
