"""The plots of the latency report. Each takes figures and returns one self-contained SVG."""

from collections.abc import Sequence

from dcet.benchmarks.latency.growth import GrowthPoint, MemoryPoint
from dcet.benchmarks.latency.loops import Loop
from dcet.benchmarks.page.plots import HEADROOM, TEXT_HEIGHT, WIDTH, roomy, stagger, x_axis, y_axis
from dcet.benchmarks.page.svg import Scale, Svg, figure, tick_label
from dcet.benchmarks.stats import MARKED, Histogram, Summary


def latency_histogram(title: str, counts: Histogram, summary: Summary, width: float) -> Svg:
    """Draw how often a turn took how long, with the percentiles marked."""
    height, left, right, bottom = 270.0, 16.0, 16.0, 34.0
    svg = Svg(width, height, title)
    edges = counts.edges_ms
    x = Scale(edges[0] / 1.15, edges[-1] * 1.15, left, width - right, log=True)
    marks = [(name, getattr(summary, name)) for name in MARKED]
    rows = stagger([(x(value), f"{name} {figure(value)} ms") for name, value in marks], width)
    top = 20.0 + 16 * max(row for *_, row in rows)
    y = Scale(0, max(counts.counts), height - bottom, top + 12)
    x_axis(svg, x, height - bottom, top, "ms")
    for low, high, count in zip(edges, edges[1:], counts.counts, strict=False):
        if count:
            style = "fill-1" if low < summary.p95 else "fill-3"
            tip = f"{figure(low)} to {figure(high)} ms: {count:,} of {summary.n:,} turns"
            svg.rect(
                x(low) + 0.6, y(count), x(high) - x(low) - 1.2, y(0) - y(count), style, tip=tip
            )
    for position, anchor, text, row in rows:
        svg.line((position, 18.0 + 16 * row), (position, height - bottom), "mark")
        nudge = 4 if anchor == "start" else -4
        svg.text(position + nudge, 14.0 + 16 * row, text, "strong", anchor=anchor)
    return svg


def growth_plot(
    title: str, points: Sequence[GrowthPoint], what: str, tolerance: float | None = None
) -> Svg:
    """Draw p50 (line) and p50 to p95 (band) over the size of the conversation, on a log axis.

    A p95 far off would press the line flat; it is cut, and its figure stands at the edge.
    """
    height, left, bottom, top = 252.0, 44.0, 40.0, HEADROOM
    svg = Svg(WIDTH, height, title)
    first = points[0].latency_ms.p50
    x = _size_axis(points, left)
    highest = max(point.latency_ms.p95 for point in points)
    ceiling = min(1.25 * highest, 2.5 * max(point.latency_ms.p50 for point in points))
    y = Scale(0, ceiling, height - bottom, top)
    if tolerance is not None:
        low, high = y(first * (1 - tolerance)), y(first * (1 + tolerance))
        svg.rect(left, high, WIDTH - left - 8, low - high, "promise-band")
    y_axis(svg, y, left, "ms")
    _size_labels(svg, x, points, height - bottom, what)
    upper = [(x(point.at), y(min(ceiling, point.latency_ms.p95))) for point in points]
    middle = [(x(point.at), y(point.latency_ms.p50)) for point in points]
    svg.path([*upper, *reversed(middle)], "band", closed=True)
    svg.path(middle, "stroke-1")
    labels = [
        (px, figure(point.latency_ms.p50)) for point, (px, _) in zip(points, middle, strict=True)
    ]
    labelled = roomy(labels)
    for place, (point, (px, py)) in enumerate(zip(points, middle, strict=True)):
        latency = point.latency_ms
        tip = f"{what} {point.at:,}: p50 {figure(latency.p50)}, p95 {figure(latency.p95)} ms"
        svg.dot(px, py, 4, "fill-1", tip=tip)
        if place not in labelled:
            continue
        below = py + 20 if py + 24 < y.start else py - 9  # or it would stand on the axis
        svg.text(px, below, figure(latency.p50), "strong", anchor="middle")
        if latency.p95 > ceiling:
            svg.text(px, top + 14, f"↑ {figure(latency.p95)}", "muted", anchor="middle")
    return svg


def memory_plot(
    title: str, points: Sequence[MemoryPoint], what: str, limit_kib: float | None = None
) -> Svg:
    """Draw the memory held, less that held at the first point."""
    height, left, bottom, top = 252.0, 52.0, 40.0, HEADROOM
    svg = Svg(WIDTH, height, title)
    grown_bytes = [point.rss_bytes - points[0].rss_bytes for point in points]
    limit_bytes = 0 if limit_kib is None else limit_kib * 1024
    is_large = max(limit_bytes, *grown_bytes) > 10 * 2**20
    unit, size = ("MiB", 2**20) if is_large else ("KiB", 2**10)
    grown = [value / size for value in grown_bytes]
    limit = None if limit_kib is None else limit_bytes / size
    x = _size_axis(points, left)
    highest = max([limit or 1.0, *grown])
    lowest = min([0.0, *grown])
    margin = 0.2 * (highest - lowest)  # for the labels
    y = Scale(lowest - (margin if lowest else 0), highest + margin, height - bottom, top)
    y_axis(svg, y, left, unit)
    _size_labels(svg, x, points, height - bottom, what)
    if limit is not None:
        svg.line((left, y(limit)), (WIDTH - 8, y(limit)), "limit")
        label = f"dashed: at most {tick_label(limit)} {unit}, as promised"
        svg.text(WIDTH - 8, TEXT_HEIGHT, label, "muted", anchor="end")
    line = [(x(point.at), y(value)) for point, value in zip(points, grown, strict=True)]
    svg.path([*line, (line[-1][0], y(0)), (line[0][0], y(0))], "band-2", closed=True)
    svg.path(line, "stroke-2")
    texts = [f"{value:+,.0f}" if round(value) else "0" for value in grown]
    labelled = roomy([(px, text) for (px, _), text in zip(line, texts, strict=True)])
    for place, ((px, py), point, text) in enumerate(zip(line, points, texts, strict=True)):
        tip = f"{what} {point.at:,}: {text} {unit}, {point.rss_bytes / 2**20:,.1f} MiB in all"
        svg.dot(px, py, 4, "fill-2", tip=tip)
        if place in labelled:
            svg.text(px + 4, py - 9, text, "strong", anchor="end")  # the line may rise on the right
    return svg


def pace_plot(title: str, loops: Sequence[Loop]) -> Svg:
    """Draw p50, p95, p99 and maximum of whole turns, one row a pace, on a log axis."""
    top, bottom, row = 6.0, 34.0, 48.0
    svg = Svg(WIDTH, top + row * len(loops) + bottom, title)
    summaries = [loop.latency_ms["turn"] for loop in loops]
    low, high = min(s.p50 for s in summaries), max(s.max for s in summaries)
    x = Scale(low / 1.25, high * 1.25, 8, WIDTH - 8, log=True)
    x_axis(svg, x, svg.height - bottom, top, "ms")
    for index, (loop, summary) in enumerate(zip(loops, summaries, strict=True)):
        y = top + row * index + 32
        text = f"{loop.name}  ({summary.n:,} turns, p50 {figure(summary.p50)} ms)"
        svg.text(8, y - 14, text, "muted")
        svg.line((x(summary.p50), y), (x(summary.max), y), "whisker")
        for style, name in zip(("1", "2", "3", "4"), MARKED, strict=True):
            value = getattr(summary, name)
            svg.dot(x(value), y, 6, f"fill-{style}", tip=f"{name}: {figure(value)} ms")
    return svg


def dumbbells(title: str, rows: Sequence[tuple[str, float, float]]) -> Svg:
    """Draw pairs of scores, (label, without, with), joined by a line that is the difference."""
    top, bottom, left = 6.0, 34.0, 92.0
    svg = Svg(WIDTH, top + 34 * len(rows) + bottom, title)
    values = [value for _, *pair in rows for value in pair]
    margin = max(0.01, 0.25 * (max(values) - min(values)))
    x = Scale(min(values) - margin, max(values) + margin, left, WIDTH - 64)
    x_axis(svg, x, svg.height - bottom, top, "")
    for index, (label, without, with_) in enumerate(rows):
        y = top + 34 * index + 18
        svg.text(0, y + 4, label, "muted")
        svg.line((x(without), y), (x(with_), y), "whisker")
        svg.dot(x(without), y, 6, "fill-3", tip=f"{label}, memory reset: {without:.4f}")
        svg.dot(x(with_), y, 6, "fill-1", tip=f"{label}, with memory: {with_:.4f}")
        svg.text(WIDTH, y + 4, f"{with_ - without:+.4f}", "strong", anchor="end")
    return svg


def _size_axis(points: Sequence[MemoryPoint], left: float) -> Scale:
    last = max(points[-1].at, 10 * points[0].at)
    return Scale(points[0].at, last, left + 30, WIDTH - 40, log=True)


def _size_labels(
    svg: Svg, x: Scale, points: Sequence[MemoryPoint], bottom: float, what: str
) -> None:
    labels = [(x(point.at), f"{point.at:,}") for point in points]
    for place in roomy(labels):
        middle, text = labels[place]
        svg.text(middle, bottom + 17, text, "muted", anchor="middle")
    svg.text(svg.width / 2, bottom + 36, what, "muted", anchor="middle")
