"""Two memory reports, by their scores with the whole memory."""

from collections.abc import Iterator

from dcet.benchmarks.comparison import Report, ReportError, Row, score_row


def compare_memory(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare weighted F1 and UAR of every stream with the whole memory; `tolerance` is that of
    latencies, of which there are none.

    Raises ReportError where other turns were played.
    """
    played = [[stream["sha256"] for stream in report["streams"]] for report in (before, after)]
    if played[0] != played[1]:
        raise ReportError(
            "the two are about different turns; measure both on the same --turns, in one order"
        )
    for number, (first, second) in enumerate(zip(before["streams"], after["streams"], strict=True)):
        for name in ("weighted_f1", "uar"):
            row = f"{number + 1}. {first['name']}: {name}"
            yield score_row(row, first[name], second[name])
