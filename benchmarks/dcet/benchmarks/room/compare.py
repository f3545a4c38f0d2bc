"""Two room reports, headline by headline."""

from collections.abc import Iterator

from dcet.benchmarks.comparison import Report, ReportError, Row, score_row

SAME = ("talk", "videos", "no_speech")  # of the material


def compare_room(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare what both have a figure of; `tolerance` is that of latencies, of which there are
    none. No estimate at all counts as 1, the worst.

    Raises ReportError where other things were heard.
    """
    for name in ("spots", "seed"):
        _expect_same(f"--{name}", *(report["settings"][name] for report in (before, after)))
    for name in SAME:
        _expect_same(f"the folder's {name}", *(r["material"][name] for r in (before, after)))
    later = {row["key"]: row for row in after["headlines"]}
    for row in before["headlines"]:
        if row["key"] in later:
            scores = (_score(row), _score(later[row["key"]]))
            yield score_row(row["name"], *scores, lower_is_better=True)


def _expect_same(what: str, first: object, second: object) -> None:
    if first != second:
        raise ReportError(
            f"{what}: the first report has {str(first)[:60]}, the second {str(second)[:60]}; "
            "measure both on the same recordings, with the same --spots and --seed"
        )


def _score(row: Report) -> float:
    return 1.0 if row["value"] is None else float(row["value"])
