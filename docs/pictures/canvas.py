"""A canvas for the diagrams of the documentation: boxes, arrows and words, written as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

Point = tuple[float, float]

INK, MUTED, EDGE, PAGE = "#1b1d22", "#666b75", "#d5d5ce", "#fcfcfa"
BLUE, TEAL, ORANGE, RED, VIOLET, GREY = (
    "#2f6bd8", "#138a7c", "#c76a16", "#b5423a", "#7d56c2", "#7a7f89",
)  # fmt: skip
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that arrows begin and end at."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height


@dataclass
class Canvas:
    """A drawing with a light ground of its own, so that it reads on dark pages, too.

    title: what a screen reader says
    """

    width: float
    height: float
    title: str
    _parts: list[str] = field(default_factory=list)

    def text(
        self,
        at: Point,
        words: str,
        *,
        size: float = 13,
        colour: str = INK,
        anchor: str = "middle",
        bold: bool = False,
        code: bool = False,
    ) -> None:
        """Write one line; `at` is the middle of it, or its left or right end, on the baseline."""
        weight = ' font-weight="650"' if bold else ""
        family = ' font-family="ui-monospace, Menlo, Consolas, monospace"' if code else ""
        self._parts.append(
            f'<text x="{at[0]:g}" y="{at[1]:g}" font-size="{size:g}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}{family}>{escape(words, quote=False)}</text>'
        )

    def region(self, box: Box, words: str, colour: str) -> None:
        """Draw a dashed frame around several boxes, with its name in the upper left corner."""
        self._rect(box, fill="none", stroke=colour, radius=14, dashed=True)
        self.text((box.x + 16, box.y + 22), words, colour=colour, anchor="start", bold=True)

    def box(
        self,
        box: Box,
        name: str,
        lines: Sequence[str] = (),
        *,
        colour: str = BLUE,
        code: bool = False,
    ) -> Box:
        """Draw a box with a name and lines below it, centred; return it for arrows."""
        self._rect(box, fill=f"{colour}14", stroke=colour)
        x = box.x + box.width / 2
        y = box.y + (box.height - 18 * len(lines)) / 2 + 5
        self.text((x, y), name, size=14, colour=colour, bold=True, code=code)
        for number, line in enumerate(lines, 1):
            self.text((x, y + 18 * number), line, size=12.5, colour=INK)
        return box

    def arrow(
        self,
        *points: Point,
        words: str = "",
        at: Point | None = None,
        colour: str = MUTED,
        dashed: bool = False,
    ) -> None:
        """Draw straight lines through the points, with a head at the last one."""
        route = " L".join(f"{x:g} {y:g}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<path d="M{route}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes} '
            f'marker-end="url(#head-{colour[1:]})"/>'
        )
        if words:
            (x1, y1), (x2, y2) = points[0], points[-1]
            self.text(at or ((x1 + x2) / 2, (y1 + y2) / 2 - 8), words, size=12, colour=colour)

    def line(self, start: Point, end: Point, colour: str = EDGE, width: float = 1) -> None:
        """Draw a straight line."""
        self._parts.append(
            f'<path d="M{start[0]:g} {start[1]:g} L{end[0]:g} {end[1]:g}" stroke="{colour}" '
            f'stroke-width="{width:g}"/>'
        )

    def curve(self, points: Sequence[Point], colour: str) -> None:
        """Draw lines through measured points, with a dot at each."""
        route = " L".join(f"{x:g} {y:g}" for x, y in points)
        self._parts.append(
            f'<path d="M{route}" fill="none" stroke="{colour}" stroke-width="2.4" '
            'stroke-linejoin="round"/>'
        )
        for x, y in points:
            self._parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="4" fill="{colour}"/>')

    def bar(self, box: Box, colour: str) -> None:
        """Draw a filled rectangle."""
        self._rect(box, fill=colour, stroke="none", radius=4)

    def write(self, folder: Path, name: str) -> None:
        """Write `name`.svg."""
        (folder / f"{name}.svg").write_text(str(self), encoding="utf-8")

    def _rect(
        self, box: Box, *, fill: str, stroke: str, radius: float = 10, dashed: bool = False
    ) -> None:
        dashes = ' stroke-dasharray="6 5"' if dashed else ""
        self._parts.append(
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" '
            f'rx="{radius:g}" fill="{fill}" stroke="{stroke}" stroke-width="1.4"{dashes}/>'
        )

    def __str__(self) -> str:
        heads = "".join(
            f'<marker id="head-{colour[1:]}" viewBox="0 0 10 10" refX="9" refY="5" '
            'markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
            f'<path d="M0 0.8 L9.5 5 L0 9.2 Z" fill="{colour}"/></marker>'
            for colour in (MUTED, BLUE, TEAL, ORANGE, RED, VIOLET)
        )
        size = f'width="{self.width:g}" height="{self.height:g}"'
        body = "\n".join(self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {self.width:g} {self.height:g}" role="img" font-family="{FONT}">\n'
            f"<title>{escape(self.title, quote=False)}</title>\n<defs>{heads}</defs>\n"
            f'<rect x="0.5" y="0.5" width="{self.width - 1:g}" height="{self.height - 1:g}" '
            f'rx="16" fill="{PAGE}" stroke="{EDGE}"/>\n{body}\n</svg>\n'
        )
