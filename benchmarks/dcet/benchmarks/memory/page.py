"""The memory report as one HTML file."""

from collections.abc import Sequence
from html import escape

from dcet.benchmarks.memory.measure import Condition, MemoryReport, Stream
from dcet.benchmarks.memory.paired import PIECE_TURNS
from dcet.benchmarks.memory.table import ends
from dcet.benchmarks.page.markup import card, measured_with, table, whole_page
from dcet.benchmarks.page.plots import WIDTH
from dcet.benchmarks.page.svg import Scale, Svg
from dcet.data.bootstrap import DRAWS

ROW_HEIGHT, LEFT, RIGHT, BOTTOM = 26.0, 190.0, 24.0, 24.0


def render_memory(report: MemoryReport) -> str:
    """Make the page: a plot and a table for each stream."""
    name = f"{report.bundle.name} {report.bundle.version}"
    head = (
        f"<h1>{escape(name)}: what each part of the memory is worth</h1>"
        '<p class="lead">The same turns, with a part of the memory set to zeros before every turn. '
        f"Measured {escape(report.created[:10])} through the runtime.</p>"
        '<p class="note">Lost: the score with the whole memory less that without the part, on the '
        f"same turns; 95 % intervals of {DRAWS:,} bootstrap draws of conversations, longer ones in "
        f"pieces of {PIECE_TURNS} turns. An interval that contains zero shows no worth.</p>"
    )
    rows = {
        "Engine": report.engine.chosen,
        "Settings": f"bank of {report.settings.bank_bytes:,} bytes, seed {report.settings.seed}",
    }
    measured = measured_with(report.bundle, report.engine, rows)
    return whole_page(f"{name}: memory", (head, *map(_stream, report.streams), measured))


def _stream(stream: Stream) -> str:
    rows = [
        [
            row.name,
            f"{row.weighted_f1:.3f}",
            f"{row.uar:.3f}",
            f"{row.lost['uar'].value:+.3f} ({ends(row.lost['uar'])})",
            f"{row.changed:.1%}",
        ]
        for row in stream.conditions
    ]
    whole = ["nothing", f"{stream.weighted_f1:.3f}", f"{stream.uar:.3f}", "", ""]
    head = ["without", "weighted F1", "UAR", "UAR lost", "labels changed"]
    return (
        f"<h2>{escape(stream.name)}</h2>"
        f'<p class="note">{stream.turns:,} turns of {stream.conversations:,} conversations, '
        f"{stream.speakers:.1f} speakers in each.</p>"
        '<div class="grid">'
        + card("Weighted F1 lost without", str(lost_plot(stream.conditions)))
        + card("Figures", table(head, [whole, *rows]))
        + "</div>"
    )


def lost_plot(rows: Sequence[Condition]) -> Svg:
    """Draw the loss of weighted F1 of each row with its interval, around a line at zero."""
    found = [row.lost["weighted_f1"] for row in rows]
    height = ROW_HEIGHT * len(rows) + BOTTOM
    svg = Svg(WIDTH, height, "Weighted F1 lost without each part of the memory")
    low, high = min(0.0, *(lost.low for lost in found)), max(0.0, *(lost.high for lost in found))
    x = Scale(low, max(high, low + 1e-3), LEFT, WIDTH - RIGHT)
    for tick in x.ticks():
        svg.line((x(tick), 0), (x(tick), height - BOTTOM), "grid")
        svg.text(x(tick), height - 6, f"{tick:+.3g}", "muted", anchor="middle")
    svg.line((x(0), 0), (x(0), height - BOTTOM), "axis")
    for place, (row, lost) in enumerate(zip(rows, found, strict=True)):
        y = ROW_HEIGHT * (place + 0.5)
        svg.text(0, y + 4, row.name, "muted")
        svg.line((x(lost.low), y), (x(lost.high), y), "stroke-1")
        svg.dot(x(lost.value), y, 4, "fill-1", tip=f"{row.name}: {lost.value:+.4f} ({ends(lost)})")
    return svg
