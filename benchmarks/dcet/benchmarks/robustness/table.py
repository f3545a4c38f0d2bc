"""The robustness report as tables on stdout."""

from rich.console import Console
from rich.text import Text

from dcet.benchmarks.robustness.measure import FIGURES, MISSING_RATES, Outcome, RobustnessReport
from dcet.benchmarks.tables import new_table, print_identity
from dcet.runtime.labels import MODALITIES


def print_robustness(report: RobustnessReport, console: Console) -> None:
    played = report.constructed
    print_identity(report.bundle, report.engine, console)
    console.print(f"{played.turns:,} turns of {played.dialogues} dialogues, {played.what}\n")
    masks = new_table("modalities (constructed)", "", *FIGURES, *MODALITIES)
    for mask in report.masks:
        masks.add_row("+".join(mask.modalities), *_outcome(mask.outcome))
    rates = [f"{rate:.0%}" for rate in (0, *MISSING_RATES)]
    missing = new_table("weighted_f1 with missing modalities (constructed)", "", "in", *rates)
    for (senses, pattern), rows in report.missing_by_mask().items():
        scores = (f"{row.outcome.figures['weighted_f1']:.4f}" for row in rows)
        missing.add_row("+".join(senses), pattern, *scores)
    bad = new_table(
        "corrupted modalities (constructed)",
        "",
        "strength",
        "weighted_f1",
        "lost against absent",
        "weight",
    )
    for curve in report.corruptions:
        bad.add_row(f"{curve.corruption}: {curve.measure}")
        for point in curve.points:
            f1, lost = point.outcome.figures["weighted_f1"], point.lost_against_absent
            bad.add_row(
                f"  {curve.modality}",
                f"{point.strength:g}",
                f"{f1:.4f}",
                Text(f"{lost['weighted_f1']:+.4f}", "red" if lost["weighted_f1"] > 0 else ""),
                f"{point.outcome.modality_weights[curve.modality]:.3f}",
                end_section=point is curve.points[-1],
            )
    for table in (masks, missing, bad):
        console.print(table)


def _outcome(outcome: Outcome) -> list[str]:
    """Format the figures, and the mean weights of the modalities."""
    figures = [f"{outcome.figures[name]:.4f}" for name in FIGURES]
    return figures + [f"{outcome.modality_weights[name]:.3f}" for name in MODALITIES]
