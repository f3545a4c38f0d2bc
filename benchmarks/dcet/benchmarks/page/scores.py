"""Plots of scores, from 0 to 1, that several reports share."""

from collections.abc import Sequence

from dcet.benchmarks.page.plots import WIDTH
from dcet.benchmarks.page.svg import Scale, Svg

LEFT, RIGHT, TOP, BOTTOM = 44.0, 16.0, 16.0, 24.0
Line = tuple[str, str, Sequence[float]]  # style's number, what it is, one value a label


def strength_plot(
    title: str,
    labels: Sequence[str],
    lines: Sequence[Line],
    *,
    height: float,
    floor: float | None = None,
    limit: tuple[str, float] | None = None,
) -> Svg:
    """Draw lines over strengths that stand side by side, whatever their distance.

    floor: where the axis begins, if not just below the lowest value
    limit: a level that is marked, and its name
    """
    svg = Svg(WIDTH, height, title)
    values = [value for _, _, line in lines for value in line]
    values += [limit[1]] if limit else []
    low, high = min(values), max(values)
    margin = max(0.02, 0.2 * (high - low))
    start = max(0.0, low - margin) if floor is None else floor
    y = Scale(start, high + margin, height - BOTTOM, TOP)
    x = Scale(0, max(1, len(labels) - 1), LEFT + 20, WIDTH - RIGHT - 20)
    for tick in y.ticks(4):
        svg.line((LEFT, y(tick)), (WIDTH - RIGHT, y(tick)), "grid")
        svg.text(LEFT - 6, y(tick) + 4, f"{tick:.2f}", "muted", anchor="end")
    for place, label in enumerate(labels):
        svg.text(x(place), height - 6, label, "muted", anchor="middle")
    if limit:
        name, level = limit
        svg.line((LEFT, y(level)), (WIDTH - RIGHT, y(level)), "limit")
        svg.text(WIDTH - RIGHT, TOP - 4, f"dashed: {name}, {level:.3f}", "muted", anchor="end")
    highest = [max(values) for values in zip(*(line for _, _, line in lines), strict=True)]
    seen = [False] * len(labels)  # whether the label above a place is taken
    for style, name, line in lines:
        points = [(x(place), y(value)) for place, value in enumerate(line)]
        svg.path(points, f"stroke-{style}")
        for place, ((px, py), label, value) in enumerate(zip(points, labels, line, strict=True)):
            svg.dot(px, py, 4, f"fill-{style}", tip=f"{name}, {label}: {value:.3f}")
            is_above = value == highest[place] and not seen[place]
            seen[place] |= is_above
            text_y = py - 9 if is_above else py + 18
            svg.text(px, text_y, f"{value:.3f}", "strong", anchor="middle")
    return svg


def score_bars(
    title: str, rows: Sequence[tuple[str, float]], *, left: float = 128.0, full: float | None = None
) -> Svg:
    """Draw scores from 0 on, one row each.

    left: where the bars begin, behind their names
    full: the score of the longest possible bar, if not the highest
    """
    row_height = 26.0
    svg = Svg(WIDTH, row_height * len(rows), title)
    x = Scale(0, full or max(score for _, score in rows), left, WIDTH - 52)
    for index, (label, score) in enumerate(rows):
        top = row_height * index
        svg.text(0, top + 17, label, "muted")
        svg.rect(left, top + 5, x(score) - left, 16, "fill-1", tip=f"{label}: {score:.4f}")
        svg.text(x(score) + 6, top + 17, f"{score:.3f}", "strong")
    return svg
