"""Two predictions, figure by figure."""

from collections.abc import Iterator

from dcet.benchmarks.comparison import Report, Row, at, lower_is_better

FIGURES = (
    ("here, p50", "ms", ("here", "measured_ms", "p50")),
    ("here, times the limit", "×", ("here", "ratio")),
    ("predicted", "ms", ("there", "latency_ms")),
)


def compare_predictions(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare what was measured here, and what is predicted for the device."""
    graphs = {graph["name"]: graph for graph in after["graphs"]}
    for first in before["graphs"]:
        second = graphs[first["name"]]
        for name, unit, path in FIGURES:
            yield lower_is_better(
                f"{first['name']} {name}", unit, at(first, *path), at(second, *path), tolerance
            )
