"""The page of a session: one HTML file, that needs nothing else, of who seemed how and when."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from dcet.live.events import Event
from dcet.live.show.record import Record
from dcet.live.show.scene import COLOURS
from dcet.live.show.timeline_svg import clock, draw_timeline, lanes
from dcet.runtime.cli.html import html_page
from dcet.runtime.labels import MODALITIES

STREAMS = ("samples", "frames", "texts", "turns")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
CERTAIN = 0.995  # of who speaks: what is rounded to 100 %
WIDTH, HEIGHT = 480.0, 150.0  # of the plot of latencies


def render_page(
    record: Record, *, title: str, lead: str, counters: Mapping[str, Any], notes: Sequence[str] = ()
) -> str:
    """Make the page.

    lead: a line on what was played, and with what
    counters: of the session
    notes: what was wrong with what was played
    """
    css = files("dcet.live.show").joinpath("page.css").read_text(encoding="utf-8")
    sections = (
        _head(record, title, lead, notes),
        _timeline(record),
        _people(record),
        _turns(record),
        '<h2>On time</h2><div class="grid">' + _latency(record) + _left_out(record) + "</div>",
        _counters(counters),
    )
    return html_page(title, css, sections)


def _head(record: Record, title: str, lead: str, notes: Sequence[str]) -> str:
    people = record.people()
    silent = sum(name not in people for name, *_ in lanes(record))
    counted = (
        f"{_several(len(record.turns), 'turn')} of {_several(len(people), 'person', 'people')}"
    )
    counted += f", and {_several(silent, 'face')} of somebody who was not heard" if silent else ""
    counted += f", in {clock(record.end_us)}."
    warnings = "".join(f'<p class="alert">{escape(note)}</p>' for note in notes)
    lines = f'<p class="lead">{escape(lead)}</p><p>{escape(counted)}</p>{warnings}'
    return f"<h1>{escape(title)}</h1>{lines}"


def _timeline(record: Record) -> str:
    rows = lanes(record)
    if not rows:
        return '<div class="card">Nobody was heard, and no face was seen.</div>'
    names = "".join(
        f'<div><b title="{escape(name)}">{escape(name)}</b><span>{_talk(turns)}</span></div>'
        for name, turns, _ in rows
    )
    return (
        f'<div class="card timeline"><div class="names">{names}</div>'
        f'<div class="scroll">{draw_timeline(record)}</div></div>'
        + _legend([(f"background:{colour}", name) for name, colour in COLOURS.items()])
        + '<div class="legend"><span>below a turn, what it is estimated from:</span>'
        + "".join(f'<span><i class="{name}"></i>{name}</span>' for name in MODALITIES)
        + "<span>thin line: the face is in view</span><span>◆ the label changed</span>"
        "<span>dashed: abstains</span><span>−1: something was left out</span></div>"
    )


def _people(record: Record) -> str:
    cards = []
    for name in record.people():
        turns = record.turns_of(name)
        sums: dict[str, float] = defaultdict(float)
        for event in turns:
            if event.estimate is not None:
                for emotion, share in event.estimate.probabilities.items():
                    sums[emotion] += share * (event.end_us - event.start_us)
        whole = sum(sums.values())
        parts = [(emotion, sums[emotion] / whole) for emotion in COLOURS if whole]
        bar = "".join(
            f'<i style="width:{share:.2%};background:{COLOURS[emotion]}" '
            f'title="{emotion} {share:.0%}"></i>'
            for emotion, share in parts
        )
        most = ", ".join(
            f"{emotion} {share:.0%}" for emotion, share in sorted(parts, key=lambda p: -p[1])[:3]
        )
        course = " → ".join(change.now for change in record.changes if change.speaker == name)
        cards.append(
            f'<div class="card"><b>{escape(name)}</b> <span class="muted">{_talk(turns)}</span>'
            f'<div class="bar">{bar}</div><p class="muted">{most or "no estimate"}</p>'
            f"<p>{course or 'no label'}</p></div>"
        )
    if not cards:
        return ""
    return f'<h2>People</h2><div class="grid">{"".join(cards)}</div>'


def _turns(record: Record) -> str:
    if not record.turns:
        return ""
    rows = (_row(event) for _, event in sorted(record.turns.items()))
    return (
        '<h2>Turns</h2><div class="card scroll"><table><thead><tr><th>time</th><th>who</th>'
        '<th>words</th><th>seems</th><th class="number">confidence</th><th>from</th>'
        '<th class="number">ms</th></tr></thead><tbody>' + "".join(rows) + "</tbody></table></div>"
    )


def _row(event: Event) -> str:
    estimate = event.estimate
    seems, sure, source = "no estimate", "", ""
    if estimate is not None:
        seems = (
            f'<span class="nowrap"><i style="background:{COLOURS[estimate.emotion]}"></i>'
            f"{estimate.emotion} {estimate.probabilities[estimate.emotion]:.0%}</span>"
        )
        if estimate.abstains is not None:
            seems += f"<small>abstains: {escape(estimate.abstains)}</small>"
        # rounded down, as the reason is for which an estimate abstains
        sure = "" if estimate.confidence is None else f"{math.floor(100 * estimate.confidence)}%"
        weights = estimate.modality_weights.items()
        source = ", ".join(f"{name} {weight:.0%}" for name, weight in weights if weight)
    reasons = (*event.left_out, *(estimate.degraded if estimate else ()))
    source += "".join(f"<small>{escape(reason)}</small>" for reason in reasons)
    state = (
        "" if event.status in ("ok", "abstain") else f'<small class="alert">{event.status}</small>'
    )
    state += "<small>revised</small>" if event.kind == "revised" else ""
    who = escape(event.speaker)
    if 0 < event.speaker_confidence < CERTAIN:
        who += f"<small>{event.speaker_confidence:.0%} sure</small>"
    return (
        f'<tr><td class="time">{clock(event.start_us)} – {clock(event.end_us)}{state}</td>'
        f'<td class="nowrap">{who}</td><td class="words">{escape(event.text or "")}</td>'
        f"<td>{seems}</td>"
        f'<td class="number">{sure}</td><td>{source}</td>'
        f'<td class="number">{event.latency_ms.get("total", 0.0):.1f}</td></tr>'
    )


def _latency(record: Record) -> str:
    finals = [event for _, event in sorted(record.finals.items())]
    if not finals:
        return ""
    total_ms = np.array([event.latency_ms.get("total", 0.0) for event in finals])
    due = [event for event in finals if event.deadline_us is not None]
    p50, p99 = np.quantile(total_ms, [0.5, 0.99])
    slow = f"99 of 100 within {p99:.1f}" if len(finals) >= 100 else f"slowest {total_ms.max():.1f}"
    lines = [f"median {p50:.1f} ms, {slow} ms"]
    if due:
        late = sum(event.status == "late" for event in due)
        lines.append(f"{len(due) - late} of {len(due)} before their deadline")
    most = max(float(total_ms.max()), 1.0)
    end_us = max(record.end_us, 1)
    dots = "".join(
        f'<circle cx="{8 + event.end_us / end_us * (WIDTH - 60):.1f}" '
        f'cy="{HEIGHT - 8 - value / most * (HEIGHT - 24):.1f}" r="3.5" '
        f'class="{"late" if event.status == "late" else "text"}">'
        f"<title>{value:.1f} ms</title></circle>"
        for event, value in zip(finals, total_ms, strict=True)
    )
    plot = (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="Latency over time">'
        f'<line x1="0" y1="{HEIGHT - 8}" x2="{WIDTH - 44}" y2="{HEIGHT - 8}" class="grid"/>'
        f'<line x1="0" y1="16" x2="{WIDTH - 44}" y2="16" class="grid"/>'
        f'<text x="{WIDTH - 40}" y="20" class="muted">{most:.0f} ms</text>'
        f'<text x="{WIDTH - 40}" y="{HEIGHT - 4}" class="muted">0 ms</text>{dots}</svg>'
    )
    return (
        '<div class="card"><b>From the end of a turn to its final</b>'
        f'<p class="muted">without the pause that shows that it has ended</p>{plot}'
        + "".join(f"<p>{line}</p>" for line in lines)
        + "</div>"
    )


def _left_out(record: Record) -> str:
    reasons = Counter(
        NUMBER.sub("…", reason)
        for event in record.turns.values()
        for reason in (*event.left_out, *(event.estimate.degraded if event.estimate else ()))
    )
    if not reasons:
        return '<div class="card"><b>Left out</b><p>Nothing.</p></div>'
    rows = [(reason, f"{count}") for reason, count in reasons.most_common(20)]
    return f'<div class="card"><b>Left out</b>{_table(("what", "turns"), rows)}</div>'


def _counters(counters: Mapping[str, Any]) -> str:
    fates = list(next((counters[stream] for stream in STREAMS if stream in counters), {}))
    rows = [
        (stream, *(f"{counters[stream][fate]:,}" for fate in fates))
        for stream in STREAMS
        if stream in counters
    ]
    notes = [(what, f"{count}") for what, count in counters.get("notes", {}).items()]
    return (
        '<h2>What became of everything</h2><div class="grid"><div class="card scroll">'
        + _table(("", *fates), rows)
        + "</div>"
        + (f'<div class="card">{_table(("note", "times"), notes)}</div>' if notes else "")
        + "</div>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table whose first column holds names, and the others numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        first, *others = (escape(cell) for cell in row)
        numbers = "".join(f'<{tag} class="number">{cell}</{tag}>' for cell in others)
        return f"<tr><{tag}>{first}</{tag}>{numbers}</tr>"

    body = "".join(cells("td", row) for row in rows)
    return f"<table><thead>{cells('th', head)}</thead><tbody>{body}</tbody></table>"


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(f'<span><i style="{style}"></i>{name}</span>' for style, name in entries)
    return f'<div class="legend">{items}</div>'


def _talk(turns: Sequence[Event]) -> str:
    if not turns:
        return "not heard"
    seconds = sum(event.end_us - event.start_us for event in turns) / 1e6
    return f"{_several(len(turns), 'turn')}, {seconds:.0f} s"


def _several(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
