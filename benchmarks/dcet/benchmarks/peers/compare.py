"""Two reports of peers, figure by figure."""

from collections.abc import Iterator

from dcet.benchmarks.comparison import Report, Row, at, higher_is_better, lower_is_better


def compare_peers(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare our latencies, and how many times longer the peers took in the same run."""
    for first, second in zip(before["stages"], after["stages"], strict=True):
        stage, path = first["name"], ("dcet_ms", "p50")
        yield lower_is_better(f"{stage} p50", "ms", at(first, *path), at(second, *path), tolerance)
        for stack, ratio in first["ratio"].items():
            name = f"{stage}, times of {stack}"
            yield higher_is_better(name, "×", ratio, second["ratio"][stack], tolerance)
