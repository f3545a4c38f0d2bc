"""Two accuracy reports, score by score."""

from collections.abc import Iterator

from dcet.benchmarks.comparison import Report, ReportError, Row, at, score_row

HIGHER_IS_BETTER = (
    ("weighted_f1",),
    ("macro_f1",),
    ("accuracy",),
    ("sentiment", "ccc"),
    ("shift", "f1"),
    ("shift", "average_precision"),
)
LOWER_IS_BETTER = (("sentiment", "mae"), ("ece",), ("nll",))
TRUST = (("trust", "aurc"), ("trust", "ece"))  # lower is better, too


def compare_accuracy(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare scores; `tolerance` is that of latencies, of which there are none.

    Raises ReportError where other utterances were played.
    """
    if (before["corpus"], before["n"]) != (after["corpus"], after["n"]):
        raise ReportError(
            f"the first is about {before['n']} utterances of {before['corpus']}, the second about "
            f"{after['n']} of {after['corpus']}; measure both on the same file"
        )
    trusted = TRUST if "trust" in before and "trust" in after else ()  # reports of 0.3 have none
    for paths, lower_is_better in ((HIGHER_IS_BETTER, False), ((*LOWER_IS_BETTER, *trusted), True)):
        for path in paths:
            yield score_row(
                ".".join(path),
                at(before, *path),
                at(after, *path),
                lower_is_better=lower_is_better,
            )
