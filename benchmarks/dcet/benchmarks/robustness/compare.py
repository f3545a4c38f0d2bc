"""Two robustness reports, condition by condition."""

from collections.abc import Iterator

from dcet.benchmarks.comparison import Report, ReportError, Row, score_row


def compare_robustness(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare weighted F1 under every condition; `tolerance` is that of latencies, of which there
    are none.

    Raises ReportError where other conversations were played.
    """
    played = [(report["constructed"], report["settings"]["seed"]) for report in (before, after)]
    if played[0] != played[1]:
        raise ReportError(
            f"the first is about {played[0]}, the second about {played[1]}; measure both on the "
            "same constructed conversations: --data, --split, --dialogues and --seed"
        )
    scores = dict(_conditions(after))
    for name, score in _conditions(before):
        yield score_row(name, score, scores[name])


def _conditions(report: Report) -> Iterator[tuple[str, float]]:
    """Give each condition's name and its weighted F1."""
    for row in report["masks"]:
        yield "+".join(row["modalities"]), _score(row)
    for row in report["missing"]:
        name = f"{'+'.join(row['modalities'])}, missing in {row['pattern']}, {row['rate']:.0%}"
        yield name, _score(row)
    for curve in report["corruptions"]:
        for point in curve["points"]:
            yield f"{curve['corruption']}, {point['strength']:g}", _score(point)


def _score(row: Report) -> float:
    return float(row["outcome"]["figures"]["weighted_f1"])
