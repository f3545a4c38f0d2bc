"""No text of a plot hides another."""

import re
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcet.benchmarks.latency.growth import GrowthPoint, MemoryPoint
from dcet.benchmarks.latency.plots import growth_plot, memory_plot
from dcet.benchmarks.page.scores import strength_plot
from dcet.benchmarks.page.svg import Svg
from dcet.benchmarks.stats import Summary

TEXT = re.compile(
    r'<text x="([-\d.]+)" y="([-\d.]+)" class="[^"]*" text-anchor="(\w+)">([^<]*)</text>'
)
WIDTH, ASCENT, DESCENT = 6.5, 9.0, 1.0  # of a character, about, at the 12 px of the style sheet
SIZES = ([10, 100, 1000], [1, 10, 20], [20, 60], [10, 100, 1_000, 10_000, 15_000])


def overlapping(svg: Svg) -> list[tuple[str, str]]:
    boxes = []
    for x, y, anchor, text in TEXT.findall(str(svg)):
        width = WIDTH * len(text)
        left = float(x) - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        boxes.append((left, left + width, float(y) - ASCENT, float(y) + DESCENT, text))
    return [
        (a[4], b[4])
        for a, b in combinations(boxes, 2)
        if a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
    ]


def point(at: int, p50: float, p95: float) -> GrowthPoint:
    summary = Summary(
        n=9, mean=p50, min=p50, p50=p50, p90=p95, p95=p95, p99=p95, p99_9=p95, max=p95
    )
    return GrowthPoint(at=at, rss_bytes=1 << 28, latency_ms=summary, ratio=1.0)


def test_the_unit_and_a_tick_at_the_top_leave_each_other_room() -> None:
    points = [point(at, 0.6, 1.2) for at in (10, 100, 1000)]  # an axis that ends at 1.5
    svg = growth_plot("cost", points, "turns")
    assert ">1.5<" in str(svg)
    assert overlapping(svg) == []


@given(
    st.sampled_from(SIZES),
    st.lists(st.floats(0.05, 50), min_size=5, max_size=5),
    st.floats(1.0, 10.0),
)
def test_labels_of_growth_leave_each_other_room(
    sizes: Sequence[int], latencies: list[float], spread: float
) -> None:
    points = [point(at, p50, p50 * spread) for at, p50 in zip(sizes, latencies, strict=False)]
    assert overlapping(growth_plot("cost", points, "turns", 0.05)) == []


@given(
    st.sampled_from(SIZES),
    st.lists(st.integers(-(1 << 22), 1 << 28), min_size=5, max_size=5),
    st.sampled_from([None, 1024.0, 65536.0]),
)
def test_labels_of_memory_leave_each_other_room(
    sizes: Sequence[int], grown: list[int], limit_kib: float | None
) -> None:
    points = [
        MemoryPoint(at=at, rss_bytes=(1 << 28) + more)
        for at, more in zip(sizes, grown, strict=False)
    ]
    svg = memory_plot("memory", points, "turns", limit_kib)

    assert overlapping(svg) == []


@pytest.mark.parametrize("swap", [False, True])
def test_lines_that_cross_have_the_higher_value_above(swap: bool) -> None:
    first, second = [0.9, 0.89, 0.8, 0.7], [0.9, 0.885, 0.82, 0.71]
    lines = [("1", "a", first), ("3", "b", second)]
    svg = strength_plot("f1", list("abcd"), lines[::-1] if swap else lines, height=240)
    assert overlapping(svg) == []
