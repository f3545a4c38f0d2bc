"""The live report as tables on stdout."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcet.benchmarks.live.measure import LiveReport
from dcet.benchmarks.live.wording import beside, not_measured, share, valued
from dcet.benchmarks.tables import new_table, print_identity


def print_live(report: LiveReport, console: Console) -> None:
    print_identity(report.bundle, report.engine, console)
    for line in not_measured(report):
        console.print(line)
    console.print()
    for table in (_deadlines(report), _streaming(report), _cutting(report), _people(report)):
        if table.row_count:
            console.print(table)
    console.print(_headlines(report))


def _headlines(report: LiveReport) -> Table:
    table = new_table("live", "", "measured", "bar")
    for row in report.headlines:
        style = "green" if row.is_met else "red"
        table.add_row(row.name, Text(valued(row, row.value), style), valued(row, row.bar))
    return table


def _deadlines(report: LiveReport) -> Table:
    columns = ("weighted F1", "on time", "p99", "text", "audio", "face")
    table = new_table("labelled turns, by deadline", "", *columns)
    for row in report.deadlines:
        table.add_row(
            f"{row.deadline_ms:g} ms, {beside(row.busy)}",
            f"{row.weighted_f1:.3f}",
            share(row.on_time),
            f"{row.p99_ms:.1f} ms",
            *(f"{used:.0%}" for used in row.used.values()),
        )
    return table


def _streaming(report: LiveReport) -> Table:
    columns = ("turns", "p50", "p99", "max", "with hangover, p50", "on time", "cores")
    table = new_table("streamed in real time, from the end of speech", "", *columns)
    for row in report.streaming:
        latency = row.latency_ms
        found = [""] * 4
        if latency is not None and row.after_speech_ms is not None:
            shown = (latency.p50, latency.p99, latency.max, row.after_speech_ms.p50)
            found = [f"{value:.1f} ms" for value in shown]
        name = f"{row.pictures[1]}×{row.pictures[0]}, {beside(row.busy)}"
        table.add_row(name, f"{row.turns}", *found, share(row.on_time), f"{row.cpu_cores:.2f}")
    return table


def _cutting(report: LiveReport) -> Table:
    columns = ("missed", "false", "wrong", "ends found")
    table = new_table("turns of meetings", "", *columns)
    found = report.cutting
    if found is not None:
        shares = (found.missed, found.false_alarm, found.error)
        ends = f"{share(found.ends_found)} of {found.ends}"
        table.add_row("share of all time", *map(share, shares), ends)
        of_speech = map(found.of_speech, shares)
        table.add_row("share of the time in turns", *map(share, of_speech), "")
    return table


def _people(report: LiveReport) -> Table:
    columns = ("voiced", "right", "wrong", "right at once", "crossed")
    table = new_table("people side by side", "", *columns)
    for row in report.people:
        who = row.who
        table.add_row(
            f"{row.clips}, {who.frame_rate:g} frames/s",
            f"{who.seconds:.0f} s",
            share(who.right),
            share(who.wrong),
            share(who.right_at_once),
            f"{who.crossed}",
        )
    return table
