"""The numbers and axes of the plots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcet.benchmarks.page.svg import Scale, Svg, figure


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.2345, "1.23"), (12.345, "12.3"), (-1234.5, "-1,234")],
)
def test_figures_keep_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


@given(st.floats(1e-3, 1e3), st.floats(1.3, 1e4), st.booleans())
def test_an_axis_of_any_length_has_ticks_inside_it(low: float, factor: float, log: bool) -> None:
    scale = Scale(low, low * factor, 0, 100, log=log)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 12
    assert all(-1e-6 <= scale(tick) <= 100 + 1e-6 for tick in ticks)


def test_scales_map_their_ends_and_a_log_scale_its_geometric_mean() -> None:
    linear, log = Scale(0, 10, 100, 0), Scale(1, 100, 0, 100, log=True)
    assert (linear(0), linear(10), linear(5)) == (100, 0, 50)
    assert (log(1), log(10), log(100)) == pytest.approx((0, 50, 100))


def test_text_is_escaped() -> None:
    svg = Svg(10, 10, "a < b")
    svg.text(0, 0, "<script>")
    assert "<script>" not in str(svg)
    assert "a &lt; b" in str(svg)
