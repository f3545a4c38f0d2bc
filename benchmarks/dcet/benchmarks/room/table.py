"""The room report as tables on stdout."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dcet.benchmarks.room.measure import RoomReport
from dcet.benchmarks.room.replies import Labels, Steadiness
from dcet.benchmarks.room.wording import counted, distance, found_lines, senses, share
from dcet.benchmarks.tables import new_table, print_identity


def print_room(report: RoomReport, console: Console) -> None:
    print_identity(report.bundle, report.engine, console)
    for line in found_lines(report):
        console.print(line)
    console.print()
    for table in (_moves(report), _lengths(report), _noises(report), _neighbours(report)):
        if table.row_count:
            console.print(table)
    console.print(_headlines(report))


def _headlines(report: RoomReport) -> Table:
    table = new_table("in a room (lower is better)", "", "measured", "bar")
    for row in report.headlines:
        style = "" if row.bar is None else "green" if row.is_met else "red"
        bar = "" if row.bar is None else f"{row.bar:g}"
        table.add_row(row.name, Text(distance(row.value), style), bar)
    return table


def _moves(report: RoomReport) -> Table:
    table = new_table("3 s of talk, moved", "", "pairs", "labels change", "TV", "silent")
    for move in report.moves:
        table.add_row(f"{move.move_ms:g} ms", *_steadiness(move.steadiness))
    return table


def _lengths(report: RoomReport) -> Table:
    table = new_table("talk by length", "", "heard", "confidence", "labels")
    if report.lengths is not None:
        for row in report.lengths.rows:
            table.add_row(f"{row.length_s:g} s", *_labels(row.labels))
    if report.meetings is not None:
        table.add_row("turns of meetings", *_labels(report.meetings.labels))
    return table


def _noises(report: RoomReport) -> Table:
    table = new_table("without speech", "", "heard", "named", "labels", "why not")
    for row in report.noises:
        heard = row.labels
        table.add_row(
            row.sounds,
            f"{heard.replies}",
            share(heard.named),
            counted(heard.labels),
            counted(heard.reasons),
        )
    return table


def _neighbours(report: RoomReport) -> Table:
    columns = ("pairs", "labels change", "TV", "silent", "weight of audio")
    table = new_table("talking heads, 3 s, neighbours 1 s apart", "", *columns)
    for row in report.neighbours:
        table.add_row(senses(row), *_steadiness(row.steadiness), f"{row.audio_weight:.2f}")
    return table


def _steadiness(found: Steadiness) -> list[str]:
    return [f"{found.pairs}", share(found.changed), distance(found.tv), share(found.silent)]


def _labels(found: Labels) -> list[str]:
    sure = "" if found.confidence is None else f"{found.confidence:.2f}"
    return [f"{found.replies}", sure, counted(found.labels)]
