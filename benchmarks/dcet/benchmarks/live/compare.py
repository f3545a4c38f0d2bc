"""Two live reports, headline by headline."""

from collections.abc import Iterator

from dcet.benchmarks.comparison import (
    Report,
    Row,
    higher_is_better,
    lower_is_better,
    score_row,
)
from dcet.benchmarks.live.headlines import KNOWN

TIMED = ("ms", "cores", "×")  # they vary from run to run


def compare_live(before: Report, after: Report, tolerance: float) -> Iterator[Row]:
    """Compare what both have a figure of; what is timed may be worse by the share `tolerance`."""
    later = {row["key"]: float(row["value"]) for row in after["headlines"]}
    for row in before["headlines"]:
        key = row["key"]
        if key not in later:
            continue
        known, values = KNOWN[key], (float(row["value"]), later[key])
        if known.unit == "MiB":
            bound = max(known.bar, values[0] * (1 + tolerance))
            yield Row(
                name=known.name,
                unit=known.unit,
                before=values[0],
                after=values[1],
                regressed=values[1] > bound,
            )
        elif known.unit in TIMED:
            yield lower_is_better(known.name, known.unit, *values, tolerance)
        elif key == "busy_on_time":
            yield higher_is_better(known.name, known.unit, *values, tolerance)
        else:
            yield score_row(known.name, *values, lower_is_better=not known.more)
    for was, now in zip(before["deadlines"], after["deadlines"], strict=False):
        if (was["deadline_ms"], was["busy"]) == (now["deadline_ms"], now["busy"]):
            beside = f", {was['busy']} busy" if was["busy"] else ""
            name = f"weighted F1 within {was['deadline_ms']:g} ms{beside}"
            values = (float(was["weighted_f1"]), float(now["weighted_f1"]))
            yield higher_is_better(name, "", *values, tolerance)
