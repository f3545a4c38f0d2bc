"""Percentiles and histograms of latencies; every sample counts, no outlier is removed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dcet.runtime.errors import ConfigError

BINS_PER_DECADE = 40

PERCENTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p99_9": 99.9}
TABLED = (*PERCENTILES, "max")  # the columns of tables
MARKED = ("p50", "p95", "p99", "max")  # what plots mark


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Order statistics of `n` latencies, in milliseconds."""

    n: int
    mean: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    p99_9: float
    max: float


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts between consecutive edges; the edges are evenly spaced on a logarithmic axis."""

    edges_ms: tuple[float, ...]
    counts: tuple[int, ...]


def summarise(samples_ms: ArrayLike) -> Summary:
    """Take percentiles by linear interpolation between the nearest samples (NumPy's default).

    Raises ConfigError where there is no sample.
    """
    samples = np.asarray(samples_ms, dtype=np.float64)
    if samples.size == 0:
        raise ConfigError("no sample to summarise; measure at least one turn")
    found = np.percentile(samples, list(PERCENTILES.values())).tolist()
    return Summary(
        n=samples.size,
        mean=float(samples.mean()),
        min=float(samples.min()),
        max=float(samples.max()),
        **dict(zip(PERCENTILES, found, strict=True)),
    )


def percentile_label(name: str) -> str:
    """Give the name of a percentile as people write it: p99_9 is p99.9."""
    return name.replace("_", ".")


def histogram(samples_ms: ArrayLike) -> Histogram:
    """Count every sample in logarithmic bins, `BINS_PER_DECADE` to a factor of ten."""
    samples = np.maximum(np.asarray(samples_ms, dtype=np.float64), 1e-6)
    positions = np.log10(samples) * BINS_PER_DECADE
    first, last = int(np.floor(positions.min())), int(np.floor(positions.max()))
    counts = np.bincount(np.floor(positions).astype(int) - first, minlength=last - first + 1)
    edges = 10.0 ** (np.arange(first, last + 2) / BINS_PER_DECADE)
    return Histogram(edges_ms=tuple(edges.tolist()), counts=tuple(counts.tolist()))
