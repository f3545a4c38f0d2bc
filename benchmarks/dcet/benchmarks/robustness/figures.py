"""The figures of a robustness report on the page of all figures."""

from collections.abc import Sequence

from dcet.benchmarks.comparison import Report
from dcet.benchmarks.figure_table import FigureTable
from dcet.runtime.labels import MODALITIES

MISSING = (0.3, 0.7)


def _row(report: Report) -> Sequence[str]:
    masks = {tuple(row["modalities"]): row for row in report["masks"]}
    missing = {
        row["rate"]: row
        for row in report["missing"]
        if row["pattern"] == "turns" and tuple(row["modalities"]) == MODALITIES
    }
    worst = max(
        point["lost_against_absent"]["weighted_f1"]
        for curve in report["corruptions"]
        for point in curve["points"]
    )
    rows = (masks[MODALITIES], masks[("text",)], *(missing[rate] for rate in MISSING))
    scores = (f"{row['outcome']['figures']['weighted_f1']:.3f}" for row in rows)
    return (f"{report['constructed']['turns']:,}", *scores, f"{max(0.0, worst):.3f}")


ROBUSTNESS_FIGURES = FigureTable(
    title="Modalities that fail (constructed conversations, weighted F1)",
    command="dcet-bench robustness BUNDLE --data DATA --json F",
    columns=(
        "turns",
        "all three modalities",
        "text alone",
        *(f"each missing in {rate:.0%} of the turns" for rate in MISSING),
        "most that a corrupted modality cost, against none",
    ),
    row=_row,
)
