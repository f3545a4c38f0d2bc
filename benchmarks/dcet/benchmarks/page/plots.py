"""Axes and plots that the pages of several reports share."""

from collections.abc import Sequence
from dataclasses import dataclass

from dcet.benchmarks.page.svg import Scale, Svg, figure, text_width, tick_label

WIDTH = 480.0  # of half a page; type is sized for it
ROW_HEIGHT = 40.0
TEXT_HEIGHT = 12.0
HEADROOM = 26.0  # above a plot with a y axis: its unit, and what a dashed line stands for


@dataclass(frozen=True)
class Bar:
    """One row of stacked segments: (style, what it is, value)."""

    label: str
    segments: Sequence[tuple[str, str, float]]

    @property
    def total(self) -> float:
        return sum(value for _, _, value in self.segments)


def stacked_bars(title: str, bars: Sequence[Bar], unit: str) -> Svg:
    """Draw where the time goes, one row a bar."""
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


def roomy(labels: Sequence[tuple[float, str]]) -> list[int]:
    """Choose labels that leave each other room, from the last one back; returns their places.

    labels: text, and where its middle is, from left to right
    """
    chosen: list[int] = []
    free_until = float("inf")
    for place in reversed(range(len(labels))):
        middle, text = labels[place]
        half = text_width(text) / 2
        if middle + half < free_until:
            chosen.insert(0, place)
            free_until = middle - half
    return chosen


def x_axis(svg: Svg, x: Scale, y: float, top: float, unit: str) -> None:
    for tick in x.ticks():
        svg.line((x(tick), y), (x(tick), top), "grid")
        label = f"{tick_label(tick)} {unit}".strip()
        place = min(x(tick), svg.width - text_width(label) / 2)  # all of it inside the plot
        svg.text(place, y + 18, label, "muted", anchor="middle")
    svg.line((x.start, y), (x.end, y), "axis")


def y_axis(svg: Svg, y: Scale, left: float, unit: str) -> None:
    for tick in y.ticks(4):
        svg.line((left, y(tick)), (svg.width - 8, y(tick)), "axis" if tick == 0 else "grid")
        svg.text(left - 6, y(tick) + 4, tick_label(tick), "muted", anchor="end")
    svg.text(left - 6, y.end - HEADROOM + TEXT_HEIGHT, unit, "muted", anchor="end")


def stagger(labels: Sequence[tuple[float, str]], width: float) -> list[tuple[float, str, str, int]]:
    """Put each label next to its mark, in the first row where it hides no other.

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
