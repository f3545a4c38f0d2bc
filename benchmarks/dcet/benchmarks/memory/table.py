"""The memory report as tables on stdout."""

from rich.console import Console

from dcet.benchmarks.memory.measure import MemoryReport
from dcet.benchmarks.memory.paired import Lost
from dcet.benchmarks.tables import new_table, print_identity


def print_memory(report: MemoryReport, console: Console) -> None:
    """Print a table for each stream: what is lost without each part of the memory."""
    print_identity(report.bundle, report.engine, console)
    for stream in report.streams:
        title = (
            f"{stream.name}: {stream.turns:,} turns, {stream.conversations:,} conversations, "
            f"{stream.speakers:.1f} speakers each"
        )
        table = new_table(title, "without", "weighted F1", "lost", "95 %", "UAR", "changed")
        table.add_row("nothing", f"{stream.weighted_f1:.4f}", "", "", f"{stream.uar:.4f}", "")
        for row in stream.conditions:
            lost = row.lost["weighted_f1"]
            table.add_row(
                row.name,
                f"{row.weighted_f1:.4f}",
                f"{lost.value:+.4f}",
                ends(lost),
                f"{row.uar:.4f}",
                f"{row.changed:.1%}",
            )
        console.print(table)


def ends(lost: Lost) -> str:
    """Format the ends of an interval."""
    return f"{lost.low:+.3f} to {lost.high:+.3f}"
