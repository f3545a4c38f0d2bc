"""The latency report as tables on stdout."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcet.benchmarks.latency.loops import Loop
from dcet.benchmarks.latency.measure import LatencyReport
from dcet.benchmarks.page.svg import figure, tick_label
from dcet.benchmarks.stats import TABLED, percentile_label
from dcet.benchmarks.tables import new_table, print_identity


def print_latency(report: LatencyReport, console: Console) -> None:
    machine = report.machine
    print_identity(report.bundle, report.engine, console)
    console.print(f"{machine.cpu}, {machine.cores} cores, {machine.os}, {machine.python}\n")
    with_senses = [] if report.three_senses is None else [report.three_senses]
    for loop in (report.mixed, report.fixed, *with_senses, *report.paced):
        console.print(_stage_table(loop))
    console.print(_growth_table(report))
    console.print(_sizes_table(report))
    console.print(_promise_table(report))


def _stage_table(loop: Loop) -> Table:
    title = f"{loop.name} ({loop.latency_ms['turn'].n:,} turns), ms"
    table = new_table(title, "", *map(percentile_label, TABLED))
    for stage, summary in loop.latency_ms.items():
        table.add_row(stage, *(figure(getattr(summary, percentile)) for percentile in TABLED))
    return table


def _growth_table(report: LatencyReport) -> Table:
    table = new_table(
        "growth: turns with given features, ms", "", "at", "p50", "p95", "p99", "ratio", "MiB"
    )
    for name, points in (
        ("turns", report.growth_over_turns),
        ("speakers", report.growth_over_speakers),
    ):
        for point in points:
            s = point.latency_ms
            figures = [figure(value) for value in (s.p50, s.p95, s.p99)]
            memory = f"{point.rss_bytes / 2**20:,.1f}"
            last = point is points[-1]
            table.add_row(
                name, f"{point.at:,}", *figures, f"{point.ratio:.3f}", memory, end_section=last
            )
    return table


def _sizes_table(report: LatencyReport) -> Table:
    table = new_table("memory: raw turns, every one of another size", "", "at", "MiB")
    for point in report.memory_over_sizes:
        table.add_row("turns", f"{point.at:,}", f"{point.rss_bytes / 2**20:,.1f}")
    return table


def _promise_table(report: LatencyReport) -> Table:
    table = new_table("promises", "", "measured", "promised", "")
    for promise in report.promises:
        verdict = Text("PASS", "green") if promise.kept else Text("FAIL", "red")
        measured, limit = figure(promise.value), tick_label(promise.limit)
        table.add_row(
            promise.name, f"{measured} {promise.unit}", f"{limit} {promise.unit}", verdict
        )
    return table
