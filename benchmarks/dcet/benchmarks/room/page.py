"""The room report as one HTML file."""

from html import escape

from dcet.benchmarks.page.markup import card, legend, measured_with, table, whole_page
from dcet.benchmarks.page.plots import Bar, stacked_bars
from dcet.benchmarks.page.scores import score_bars, strength_plot
from dcet.benchmarks.room.headlines import KNOWN
from dcet.benchmarks.room.measure import RoomReport
from dcet.benchmarks.room.replies import NONE, Labels
from dcet.benchmarks.room.wording import counted, distance, found_lines, senses, share
from dcet.runtime.labels import EMOTIONS

FILLS = {
    "anger": "fill-4",
    "disgust": "fill-2",
    "fear": "fill-5",
    "joy": "fill-3",
    "neutral": "fill-rest",
    "sadness": "fill-1",
    "surprise": "fill-6",
    NONE: "fill-none",
}
MOVE_BARS = [KNOWN[key][1] or 0.0 for key in ("moved_changed", "moved_tv")]
LONGEST_NAME = 32  # characters that stand beside a bar


def render_room(report: RoomReport) -> str:
    sections = (
        _header(report),
        _moves(report),
        _labels(report),
        _noises(report),
        _neighbours(report),
        _measured_with(report),
    )
    return whole_page(f"{report.bundle.name} {report.bundle.version}: in a room", sections)


def _header(report: RoomReport) -> str:
    name = escape(f"{report.bundle.name} {report.bundle.version}")
    rows = [
        [row.name, distance(row.value), "" if row.bar is None else f"{row.bar:g}"]
        for row in report.headlines
    ]
    barred = [row for row in report.headlines if row.bar is not None]
    met = sum(row.is_met for row in barred)
    return (
        f"<h1>{name}: in a room</h1>"
        '<p class="lead">Recordings that nobody acted, and sounds in which nobody speaks. Measured '
        f"{escape(report.created[:10])}.</p>"
        f'<div class="verdict {"kept" if met == len(barred) else "broken"}"><b>{met}</b>'
        f"<span>of {len(barred)} bars are kept</span></div>"
        + card(
            "What counts",
            table(["lower is better", "measured", "bar"], rows),
            "TV: total variation of two estimates, half the sum of their differences, from 0 to 1.",
        )
    )


def _moves(report: RoomReport) -> str:
    if not report.moves:
        return ""
    labels = [f"{move.move_ms:g} ms" for move in report.moves]
    lines = {
        "share of labels that change": ("1", [move.steadiness.changed for move in report.moves]),
        "TV": ("3", [move.steadiness.tv or 0.0 for move in report.moves]),
    }
    plots = "".join(
        f"<h3>{name}</h3>"
        + str(
            strength_plot(
                f"{name}, over the move",
                labels,
                [(style, name, values)],
                height=170,
                floor=0.0,
                limit=("bar", bar),
            )
        )
        for (name, (style, values)), bar in zip(lines.items(), MOVE_BARS, strict=True)
    )
    rows = [
        [
            f"{move.move_ms:g} ms",
            f"{move.steadiness.pairs}",
            share(move.steadiness.changed),
            distance(move.steadiness.tv),
            share(move.steadiness.silent),
        ]
        for move in report.moves
    ]
    return (
        "<h2>The same talk, moved</h2>"
        '<p class="note">3 s of talk alone, as the first turn of a conversation, compared with the '
        "same recording cut a little later.</p>"
        '<div class="grid">'
        + card("", plots)
        + card(
            "Figures",
            table(["moved by", "pairs", "labels change", "TV", "silent"], rows),
            "Silent: no emotion is named before the move, after it, or both.",
        )
        + "</div>"
    )


def _labels(report: RoomReport) -> str:
    found = [] if report.lengths is None else list(report.lengths.rows)
    rows: list[tuple[str, Labels]] = [(f"cuts of {row.length_s:g} s", row.labels) for row in found]
    if report.meetings is not None:
        rows.append(("turns of meetings, 1 s and more", report.meetings.labels))
    if not rows:
        return ""
    bars = [
        Bar(
            label,
            [
                (fill, name, 100 * of.labels[name] / of.replies)
                for name, fill in FILLS.items()
                if name in of.labels
            ],
        )
        for label, of in rows
    ]
    means = [
        [f"{row.length_s:g} s", *(f"{row.mean_estimate[name]:.2f}" for name in EMOTIONS)]
        for row in found
        if row.mean_estimate is not None
    ]
    return (
        "<h2>By length</h2>"
        '<p class="note">Cuts of the same talk, the shorter ones inside the longest, and the turns '
        'of meetings; each alone.</p><div class="grid">'
        + card("Labels", f"{stacked_bars('Labels by length', bars, '%')}{_colours()}")
        + card("Mean estimate", table(["length", *EMOTIONS], means))
        + "</div>"
    )


def _noises(report: RoomReport) -> str:
    bars = [(_shortened(row.sounds), row.labels.named) for row in report.noises]
    rows = [
        [row.sounds, f"{row.labels.replies}", counted(row.labels.labels)] for row in report.noises
    ]
    reasons = {reason for row in report.noises for reason in row.labels.reasons}
    counts = [
        [reason, f"{sum(row.labels.reasons.get(reason, 0) for row in report.noises)}"]
        for reason in sorted(reasons)
    ]
    why = card("Why no emotion is named", table(["reason", "times"], counts)) if counts else ""
    return (
        "<h2>Without speech</h2>"
        '<p class="note">Where nobody speaks, there is no emotion to name; neutral is one, too.</p>'
        '<div class="grid">'
        + card(
            "Share in which an emotion is named",
            str(score_bars("An emotion is named", bars, left=252, full=1.0)),
        )
        + card("Labels", table(["sounds", "heard", "labels"], rows))
        + f"{why}</div>"
    )


def _neighbours(report: RoomReport) -> str:
    if not report.neighbours:
        return ""
    bars = [(senses(row), row.steadiness.tv or 0.0) for row in report.neighbours]
    rows = [
        [
            senses(row),
            f"{row.steadiness.pairs}",
            share(row.steadiness.changed),
            distance(row.steadiness.tv),
            share(row.steadiness.silent),
            f"{row.audio_weight:.2f}",
        ]
        for row in report.neighbours
    ]
    head = ["given", "pairs", "labels change", "TV", "silent", "weight of audio"]
    return (
        "<h2>Neighbours in time</h2>"
        '<p class="note">Windows of 3 s of talking heads, 1 s apart: two thirds of each are in the '
        'next.</p><div class="grid">'
        + card("TV between neighbours", str(score_bars("TV", bars, left=252, full=1.0)))
        + card("Figures", table(head, rows))
        + "</div>"
    )


def _measured_with(report: RoomReport) -> str:
    rows = {
        "Recordings": "; ".join(found_lines(report)),
        "Settings": f"{report.settings.spots} spots, seed {report.settings.seed}",
    }
    return measured_with(report.bundle, report.engine, rows)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"…{name[-LONGEST_NAME + 1 :]}"


def _colours() -> str:
    return legend([(fill, name) for name, fill in FILLS.items()])
