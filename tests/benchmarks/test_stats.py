"""Percentiles and histograms are those of the textbook, and lose no sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcet.benchmarks.stats import histogram, summarise
from dcet.runtime.errors import ConfigError

latencies_ms = st.lists(st.floats(min_value=1e-4, max_value=1e4), min_size=1, max_size=200)


@given(latencies_ms)
def test_percentiles_are_numpys(samples: list[float]) -> None:
    summary = summarise(samples)
    expected = np.percentile(samples, [50, 90, 95, 99, 99.9])
    measured = [summary.p50, summary.p90, summary.p95, summary.p99, summary.p99_9]
    np.testing.assert_allclose(measured, expected)
    assert (summary.n, summary.min, summary.max) == (len(samples), min(samples), max(samples))


def test_percentiles_of_a_thousand_and_one() -> None:
    summary = summarise(range(1001))
    measured = (summary.p50, summary.p99, summary.p99_9, summary.max)
    assert measured == pytest.approx((500, 990, 999, 1000))


@given(latencies_ms)
def test_histogram_holds_every_sample(samples: list[float]) -> None:
    bins = histogram(samples)
    assert sum(bins.counts) == len(samples)
    assert len(bins.edges_ms) == len(bins.counts) + 1
    assert bins.edges_ms[0] <= min(samples) * (1 + 1e-9)
    assert max(samples) <= bins.edges_ms[-1] * (1 + 1e-9)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no sample"):
        summarise([])
