"""Two latency reports, figure by figure."""

from collections.abc import Iterator

from dcet.benchmarks.comparison import Report, Row, at, lower_is_better
from dcet.benchmarks.stats import MARKED

MEMORY = (  # its name, its key, and the KiB by which it may grow more
    ("memory growth over turns", "growth_over_turns", 1024),
    ("memory growth over sizes", "memory_over_sizes", 16 * 1024),
)
LOOPS = {"mixed": "mixed texts", "fixed": "text turn", "three_senses": "turn with audio and faces"}


def compare_latency(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare latencies, cold start, memory growth, and which promises are kept.

    Senses, promises and memory over sizes that one report alone has are left out.
    """
    for loop, name in LOOPS.items():
        if before.get(loop) and after.get(loop):
            for stage in ("turn", "step"):
                for percentile in MARKED[:-1]:  # a single slow turn is no regression
                    path = (loop, "latency_ms", stage, percentile)
                    yield lower_is_better(
                        f"{name}: {stage} {percentile}",
                        "ms",
                        at(before, *path),
                        at(after, *path),
                        tolerance,
                    )
    for name, key in (
        ("cold start: import", "import_s"),
        ("cold start: open, first estimate", "open_and_first_estimate_s"),
    ):
        first, second = (report["cold_start"][key] for report in (before, after))
        yield lower_is_better(name, "s", first, second, tolerance)
    for name, key, tolerance_kib in MEMORY:
        if key in before and key in after:
            yield _memory_row(name, key, tolerance_kib, before, after)
    promises = {promise["name"]: promise for promise in before["promises"]}
    for second in after["promises"]:
        if (first := promises.get(second["name"])) is None:
            continue  # noted as a difference
        yield Row(
            name=f"promise: {second['name']}",
            unit=second["unit"],
            before=first["value"],
            after=second["value"],
            regressed=first["kept"] and not second["kept"],
        )


def _memory_row(name: str, key: str, tolerance_kib: float, before: Report, after: Report) -> Row:
    """Make the row of what the process held at the last point more than at the first."""
    grown_kib = [
        (points[-1]["rss_bytes"] - points[0]["rss_bytes"]) / 1024
        for points in (before[key], after[key])
    ]
    return Row(
        name=name,
        unit="KiB",
        before=grown_kib[0],
        after=grown_kib[1],
        regressed=grown_kib[1] > grown_kib[0] + tolerance_kib,
    )
