"""The timeline of a session as SVG: a lane a person, media time from left to right."""

from collections.abc import Iterator
from html import escape

from dcet.live.events import Event
from dcet.live.show.record import Record
from dcet.live.show.scene import COLOURS
from dcet.runtime.labels import MODALITIES

AXIS, LANE, MARGIN = 26.0, 76.0, 14.0  # heights in px, and what is left free at both ends
FACE_Y, TURN_Y, TURN_HEIGHT, WEIGHT_Y, WEIGHT_HEIGHT = 12.0, 22.0, 30.0, 55.0, 8.0  # in a lane
PAGE_PX, LEAST_PX_S, MOST_PX_S = 860.0, 12.0, 100.0  # of width; of a second
TICK_PX = 70.0
TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
DARK = ("joy", "neutral", "surprise")  # colours on which dark letters are read
PALE = 0.6  # of probability, below which they are on every colour
LETTER_PX = 7.0
SHORTEST_S = 1.0  # in view: less is what a face finder takes for a face for a moment


def lanes(record: Record) -> list[tuple[str, list[Event], list[tuple[int, int]]]]:
    """Return for each lane its name, turns, and when a face was seen: first those who were heard,
    then faces that never spoke, but for those that were in view for less than a second in all."""
    found: dict[str, tuple[list[Event], list[tuple[int, int]]]] = {
        name: (record.turns_of(name), []) for name in record.people()
    }
    for track_id, presence in sorted(record.presences.items()):
        if presence.name in found:
            found[presence.name][1].extend(presence.spans_us)
        elif presence.seconds >= SHORTEST_S:
            found[f"face {track_id}"] = [], presence.spans_us
    return [(name, *of) for name, of in found.items()]


def draw_timeline(record: Record) -> str:
    """Draw what happened, as wide as it is long; hovering over a turn tells all of it."""
    seconds = max(record.end_us / 1e6, 1.0)
    px_s = min(MOST_PX_S, max(LEAST_PX_S, PAGE_PX / seconds))
    width, rows = seconds * px_s + 2 * MARGIN, lanes(record)
    height = AXIS + LANE * len(rows)
    parts = [*_axis(seconds, px_s, height)]
    for number, (name, turns, spans_us) in enumerate(rows):
        top = AXIS + LANE * number
        parts.append(f'<line x1="0" y1="{top}" x2="{width:.0f}" y2="{top}" class="grid"/>')
        for start_us, end_us in spans_us:
            x, wide = _place(start_us, end_us, px_s)
            tip = f"{name}: face in view, {clock(start_us)} to {clock(end_us)}"
            parts.append(_rect(x, top + FACE_Y, wide, 4, 'class="seen"', tip))
        for event in turns:
            parts += _turn(event, top, px_s)
        for change in record.changes:
            if change.speaker == name:
                x, y = MARGIN + change.at_us / 1e6 * px_s, top + FACE_Y + 2
                tip = f"{change.before or 'nothing known'} → {change.now}"
                parts.append(
                    f'<path d="M{x - 5:.1f} {y} l5 -6 l5 6 l-5 6 Z" fill="{COLOURS[change.now]}" '
                    f'class="change"><title>{escape(tip)}</title></path>'
                )
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="Timeline of all turns">{"".join(parts)}</svg>'
    )


def _axis(seconds: float, px_s: float, height: float) -> Iterator[str]:
    step = next((s for s in TICKS_S if s * px_s >= TICK_PX), TICKS_S[-1])
    for tick in range(0, int(seconds - TICK_PX / 2 / px_s) + 1, step):
        x = MARGIN + tick * px_s
        yield f'<line x1="{x:.1f}" y1="{AXIS - 6}" x2="{x:.1f}" y2="{height}" class="grid"/>'
        yield f'<text x="{x + 3:.1f}" y="{AXIS - 9}" class="muted">{clock(tick * 1_000_000)}</text>'


def _turn(event: Event, top: float, px_s: float) -> Iterator[str]:
    x, wide = _place(event.start_us, event.end_us, px_s)
    estimate, y = event.estimate, top + TURN_Y
    if estimate is None:
        yield _rect(x, y, wide, TURN_HEIGHT, 'class="missing"', tell(event))
        return
    share = estimate.probabilities[estimate.emotion]
    look = f'fill="{COLOURS[estimate.emotion]}" fill-opacity="{0.4 + 0.6 * share:.2f}"'
    if estimate.abstains is not None:
        look = f'class="abstains" stroke="{COLOURS[estimate.emotion]}"'
    yield _rect(x, y, wide, TURN_HEIGHT, look, tell(event))
    label = estimate.emotion if estimate.abstains is None else f"{estimate.emotion}?"
    if wide > len(label) * LETTER_PX + 8:
        is_dark = estimate.emotion in DARK or share < PALE
        style = "" if estimate.abstains else "dark" if is_dark else "light"
        yield f'<text x="{x + 6:.1f}" y="{y + 19:.1f}" class="on {style}">{label}</text>'
    if event.status == "late":
        yield _rect(x + wide - 3, y, 3, TURN_HEIGHT, 'class="late"', "after its deadline")
    start = x
    for name in MODALITIES:
        part = wide * estimate.modality_weights[name]
        tip = f"{name} {estimate.modality_weights[name]:.0%}"
        yield _rect(start, top + WEIGHT_Y, part, WEIGHT_HEIGHT, f'class="{name}"', tip)
        start += part
    if event.left_out and wide > 3 * LETTER_PX:
        yield (
            f'<text x="{x + wide - 4:.1f}" y="{y + 19:.1f}" class="on small" text-anchor="end">'
            f"−{len(event.left_out)}</text>"
        )


def tell(event: Event) -> str:
    """Say all of a turn, a line each."""
    lines = [f"{event.speaker}, {clock(event.start_us)} to {clock(event.end_us)}"]
    if event.text:
        lines.append(f"“{event.text}”")
    if event.estimate is None:
        lines.append("no estimate")
    else:
        shares = sorted(event.estimate.probabilities.items(), key=lambda pair: -pair[1])
        lines.append(", ".join(f"{name} {share:.0%}" for name, share in shares[:3]))
        weights = event.estimate.modality_weights.items()
        lines.append(
            "from " + ", ".join(f"{name} {weight:.0%}" for name, weight in weights if weight)
        )
        if event.estimate.abstains is not None:
            lines.append(f"abstains: {event.estimate.abstains}")
        lines += event.estimate.degraded
    lines += [f"left out: {what}" for what in event.left_out]
    lines.append(f"{event.kind}, {event.status}, {event.latency_ms.get('total', 0.0):.1f} ms")
    return "\n".join(lines)


def _place(start_us: int, end_us: int, px_s: float) -> tuple[float, float]:
    x = MARGIN + start_us / 1e6 * px_s
    return x, max(2.0, (end_us - start_us) / 1e6 * px_s - 1)


def _rect(x: float, y: float, width: float, height: float, look: str, tip: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" {look}>'
        f"<title>{escape(tip)}</title></rect>"
    )


def clock(time_us: int) -> str:
    """Return a media time as people write it: 1:02.5."""
    seconds = time_us / 1e6
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    tenths = f".{int(seconds * 10) % 10}" if time_us % 1_000_000 else ""
    return f"{whole // 60}:{whole % 60:02}{tenths}"
