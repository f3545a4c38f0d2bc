"""The few SVG shapes that the report's plots are made of; colours come from its style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

CHARACTER_WIDTH = 7.8  # of bold, about, at the 12 px of the style sheet
Point = tuple[float, float]


@dataclass
class Svg:
    """A drawing that scales with the page; `label` is what a screen reader says."""

    width: float
    height: float
    label: str
    _parts: list[str] = field(default_factory=list)

    def rect(
        self, x: float, y: float, width: float, height: float, style: str, *, tip: str = ""
    ) -> None:
        shape = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}"'
        self._add("rect", f'{shape} rx="2"', style, tip)

    def line(self, start: Point, end: Point, style: str) -> None:
        (x1, y1), (x2, y2) = start, end
        self._add("line", f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"', style)

    def dot(self, x: float, y: float, radius: float, style: str, *, tip: str = "") -> None:
        self._add("circle", f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"', style, tip)

    def path(self, points: Sequence[Point], style: str, *, closed: bool = False) -> None:
        steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self._add("path", f'd="M{steps}{"Z" if closed else ""}"', style)

    def text(
        self, x: float, y: float, text: str, style: str = "", *, anchor: str = "start"
    ) -> None:
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def _add(self, tag: str, shape: str, style: str, tip: str = "") -> None:
        title = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(f'<{tag} {shape} class="{style}">{title}</{tag}>')

    def __str__(self) -> str:
        return (
            f'<svg viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img" '
            f'aria-label="{escape(self.label)}">{"".join(self._parts)}</svg>'
        )


@dataclass(frozen=True)
class Scale:
    """Maps a value to a coordinate, along a linear or a logarithmic axis."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (
            map(math.log10, (self.low, self.high, max(value, self.low)))
            if self.log
            else (self.low, self.high, value)
        )
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Return round values inside: about `wanted` if linear, three or more if logarithmic."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
            for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
                ticks = [factor * 10.0**decade for decade in decades for factor in factors]
                inside = [tick for tick in ticks if self.low <= tick <= self.high]
                if len(inside) >= 3:
                    return inside
        rough = (self.high - self.low) / wanted
        size = 10.0 ** math.floor(math.log10(rough))
        step = size * next(factor for factor in (1, 2, 5, 10) if factor * size >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [index * step for index in range(first, last + 1)]


def figure(value: float) -> str:
    """Format three digits that mean something: 0.0123, 1.23, 12.3, 1,234."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"


def tick_label(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def text_width(text: str) -> float:
    return len(text) * CHARACTER_WIDTH
