"""The report's plots. Each takes figures and returns one self-contained SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from dcet.benchmarks.latency.growth import GrowthPoint
from dcet.benchmarks.loops import Loop
from dcet.benchmarks.page.svg import Scale, Svg, figure, text_width, tick_label
from dcet.benchmarks.stats import Histogram, Summary

WIDTH = 480.0  # of half a page; type is sized for it
ROW_HEIGHT = 40.0
PERCENTILES = (("p50", "p50"), ("p95", "p95"), ("p99", "p99"), ("max", "max"))


@dataclass(frozen=True)
class Bar:
    """One row of stacked segments: (style, what it is, value)."""

    label: str
    segments: Sequence[tuple[str, str, float]]

    @property
    def total(self) -> float:
        return sum(value for _, _, value in self.segments)


def latency_histogram(title: str, counts: Histogram, summary: Summary, width: float) -> Svg:
    """How often a turn took how long, with the percentiles marked."""
    height, left, right, bottom = 270.0, 16.0, 16.0, 34.0
    svg = Svg(width, height, title)
    edges = counts.edges_ms
    x = Scale(edges[0] / 1.15, edges[-1] * 1.15, left, width - right, log=True)
    marks = [(label, getattr(summary, key)) for label, key in PERCENTILES]
    rows = _stagger([(x(value), f"{label} {figure(value)} ms") for label, value in marks], width)
    top = 20.0 + 16 * max(row for *_, row in rows)
    y = Scale(0, max(counts.counts), height - bottom, top + 12)
    _x_axis(svg, x, height - bottom, top, "ms")
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


def stacked_bars(title: str, bars: Sequence[Bar], unit: str) -> Svg:
    """Where the time goes, one row a bar."""
    svg = Svg(WIDTH, ROW_HEIGHT * len(bars) + 4, title)
    x = Scale(0, max(bar.total for bar in bars), 0, WIDTH - 76)
    for index, bar in enumerate(bars):
        y = ROW_HEIGHT * index
        svg.text(0, y + 12, bar.label, "muted")
        start = 0.0
        for style, name, value in bar.segments:
            tip = f"{name}: {figure(value)} {unit}"
            svg.rect(x(start), y + 18, x(value) - 1, 15, style, tip=tip)
            start += value
        svg.text(x(start) + 6, y + 30, f"{figure(bar.total)} {unit}", "strong")
    return svg


def growth_plot(
    title: str, points: Sequence[GrowthPoint], what: str, tolerance: float | None = None
) -> Svg:
    """p50 (line) and p50 to p95 (band) over the size of the conversation, on a log axis.

    A p95 far off would press the line flat; it is cut, and its figure stands at the edge.
    """
    height, left, bottom, top = 240.0, 44.0, 40.0, 14.0
    svg = Svg(WIDTH, height, title)
    first = points[0].latency_ms.p50
    x = _size_axis(points, left)
    highest = max(point.latency_ms.p95 for point in points)
    ceiling = min(1.25 * highest, 2.5 * max(point.latency_ms.p50 for point in points))
    y = Scale(0, ceiling, height - bottom, top)
    if tolerance is not None:
        low, high = y(first * (1 - tolerance)), y(first * (1 + tolerance))
        svg.rect(left, high, WIDTH - left - 8, low - high, "promise-band")
    _y_axis(svg, y, left, "ms")
    _size_labels(svg, x, points, height - bottom, what)
    upper = [(x(point.at), y(min(ceiling, point.latency_ms.p95))) for point in points]
    middle = [(x(point.at), y(point.latency_ms.p50)) for point in points]
    svg.path([*upper, *reversed(middle)], "band", closed=True)
    svg.path(middle, "stroke-1")
    for point, (px, py) in zip(points, middle, strict=True):
        latency = point.latency_ms
        tip = f"{what} {point.at:,}: p50 {figure(latency.p50)}, p95 {figure(latency.p95)} ms"
        svg.dot(px, py, 4, "fill-1", tip=tip)
        svg.text(px, py + 20, figure(latency.p50), "strong", anchor="middle")
        if latency.p95 > ceiling:
            svg.text(px, top + 14, f"↑ {figure(latency.p95)}", "muted", anchor="middle")
    return svg


def memory_plot(
    title: str, points: Sequence[GrowthPoint], what: str, limit_kib: float | None = None
) -> Svg:
    """Memory held, against that held at the first point."""
    height, left, bottom, top = 240.0, 52.0, 40.0, 14.0
    svg = Svg(WIDTH, height, title)
    grown_bytes = [point.rss_bytes - points[0].rss_bytes for point in points]
    unit, size = ("MiB", 2**20) if max(grown_bytes) > 10 * 2**20 else ("KiB", 2**10)
    grown = [value / size for value in grown_bytes]
    limit = None if limit_kib is None else limit_kib * 1024 / size
    x = _size_axis(points, left)
    highest = max([limit or 1.0, *grown])
    y = Scale(1.1 * min([0.0, *grown]), 1.2 * highest, height - bottom, top)
    _y_axis(svg, y, left, unit)
    _size_labels(svg, x, points, height - bottom, what)
    if limit is not None:
        svg.line((left, y(limit)), (WIDTH - 8, y(limit)), "limit")
        label = f"promised: at most {tick_label(limit)} {unit}"
        svg.text(WIDTH - 8, y(limit) - 6, label, "muted", anchor="end")
    line = [(x(point.at), y(value)) for point, value in zip(points, grown, strict=True)]
    svg.path([*line, (line[-1][0], y(0)), (line[0][0], y(0))], "band-2", closed=True)
    svg.path(line, "stroke-2")
    for (px, py), point, value in zip(line, points, grown, strict=True):
        text = f"{value:+,.0f}" if round(value) else "0"
        tip = f"{what} {point.at:,}: {text} {unit}, {point.rss_bytes / 2**20:,.1f} MiB in all"
        svg.dot(px, py, 4, "fill-2", tip=tip)
        svg.text(px + 4, py - 9, text, "strong", anchor="end")
    return svg


def pace_plot(title: str, loops: Sequence[Loop]) -> Svg:
    """p50, p95, p99 and maximum of whole turns, one row a pace, on a log axis."""
    top, bottom, row = 6.0, 34.0, 48.0
    svg = Svg(WIDTH, top + row * len(loops) + bottom, title)
    summaries = [loop.latency_ms["turn"] for loop in loops]
    low, high = min(s.p50 for s in summaries), max(s.max for s in summaries)
    x = Scale(low / 1.25, high * 1.25, 8, WIDTH - 8, log=True)
    _x_axis(svg, x, svg.height - bottom, top, "ms")
    for index, (loop, summary) in enumerate(zip(loops, summaries, strict=True)):
        y = top + row * index + 32
        text = f"{loop.name}  ({summary.n:,} turns, p50 {figure(summary.p50)} ms)"
        svg.text(8, y - 14, text, "muted")
        svg.line((x(summary.p50), y), (x(summary.max), y), "whisker")
        for style, (label, key) in zip(("1", "2", "3", "4"), PERCENTILES, strict=True):
            value = getattr(summary, key)
            svg.dot(x(value), y, 6, f"fill-{style}", tip=f"{label}: {figure(value)} ms")
    return svg


def dumbbells(title: str, rows: Sequence[tuple[str, float, float]]) -> Svg:
    """Pairs of scores: (label, without, with), joined by a line that is the difference."""
    top, bottom, left = 6.0, 34.0, 92.0
    svg = Svg(WIDTH, top + 34 * len(rows) + bottom, title)
    values = [value for _, *pair in rows for value in pair]
    margin = max(0.01, 0.25 * (max(values) - min(values)))
    x = Scale(min(values) - margin, max(values) + margin, left, WIDTH - 64)
    _x_axis(svg, x, svg.height - bottom, top, "")
    for index, (label, without, with_) in enumerate(rows):
        y = top + 34 * index + 18
        svg.text(0, y + 4, label, "muted")
        svg.line((x(without), y), (x(with_), y), "whisker")
        svg.dot(x(without), y, 6, "fill-3", tip=f"{label}, memory reset: {without:.4f}")
        svg.dot(x(with_), y, 6, "fill-1", tip=f"{label}, with memory: {with_:.4f}")
        svg.text(WIDTH, y + 4, f"{with_ - without:+.4f}", "strong", anchor="end")
    return svg


def _stagger(
    labels: Sequence[tuple[float, str]], width: float
) -> list[tuple[float, str, str, int]]:
    """Put each label beside its mark, in the first row where it hides no other.

    Returns (position, anchor, text, row); a label stands left of its mark at the right edge.
    """
    ends: list[float] = []  # where each row is taken up to
    placed = []
    for position, text in labels:
        fits = position + text_width(text) < width
        start = position if fits else position - text_width(text)
        row = next((row for row, end in enumerate(ends) if end < start), len(ends))
        ends[row : row + 1] = [start + text_width(text)]
        placed.append((position, "start" if fits else "end", text, row))
    return placed


def _x_axis(svg: Svg, x: Scale, y: float, top: float, unit: str) -> None:
    for tick in x.ticks():
        svg.line((x(tick), y), (x(tick), top), "grid")
        label = f"{tick_label(tick)} {unit}".strip()
        place = min(x(tick), svg.width - text_width(label) / 2)  # all of it inside the plot
        svg.text(place, y + 18, label, "muted", anchor="middle")
    svg.line((x.start, y), (x.end, y), "axis")


def _y_axis(svg: Svg, y: Scale, left: float, unit: str) -> None:
    for tick in y.ticks(4):
        svg.line((left, y(tick)), (svg.width - 8, y(tick)), "axis" if tick == 0 else "grid")
        svg.text(left - 6, y(tick) + 4, tick_label(tick), "muted", anchor="end")
    svg.text(left - 6, y.end - 2, unit, "muted", anchor="end")


def _size_axis(points: Sequence[GrowthPoint], left: float) -> Scale:
    last = max(points[-1].at, 10 * points[0].at)
    return Scale(points[0].at, last, left + 30, WIDTH - 40, log=True)


def _size_labels(
    svg: Svg, x: Scale, points: Sequence[GrowthPoint], bottom: float, what: str
) -> None:
    for point in points:
        svg.text(x(point.at), bottom + 17, f"{point.at:,}", "muted", anchor="middle")
    svg.text(svg.width / 2, bottom + 36, what, "muted", anchor="middle")
