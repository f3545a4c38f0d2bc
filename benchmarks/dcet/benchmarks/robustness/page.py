"""The robustness report as one HTML file."""

from collections.abc import Sequence
from html import escape

from dcet.benchmarks.page.markup import card, legend, measured_with, table, whole_page
from dcet.benchmarks.page.scores import score_bars, strength_plot
from dcet.benchmarks.robustness.measure import (
    FIGURES,
    Curve,
    Missing,
    Outcome,
    RobustnessReport,
)
from dcet.runtime.labels import MODALITIES


def render_robustness(report: RobustnessReport) -> str:
    sections = (
        _header(report),
        _masks(report),
        _missing(report),
        *(_corruptions(report, modality) for modality in MODALITIES),
        _measured_with(report),
    )
    title = f"{report.bundle.name} {report.bundle.version}: robustness, constructed"
    return whole_page(title, sections)


def _header(report: RobustnessReport) -> str:
    name = escape(f"{report.bundle.name} {report.bundle.version}")
    played = report.constructed
    return (
        f"<h1>{name}: modalities that fail</h1>"
        f'<p class="lead">Weighted F1 on {played.turns:,} turns of {played.dialogues} constructed '
        f"conversations, through the runtime. Measured {escape(report.created[:10])}.</p>"
        '<p class="note">Constructed: the text is MELD’s; the voices are clips of RAVDESS and the '
        "faces are of FER+, picked by the turn’s own label. They were never recorded together. The "
        "figures compare conditions with each other and say nothing about accuracy on real "
        "conversations.</p>"
    )


def _masks(report: RobustnessReport) -> str:
    rows = [
        (" + ".join(mask.modalities), mask.outcome.figures["weighted_f1"]) for mask in report.masks
    ]
    figures = [
        [" + ".join(mask.modalities), *_figures(mask.outcome)[1:], *_weights(mask.outcome)]
        for mask in report.masks
    ]
    head = ["modalities", *_names()[1:], *MODALITIES]
    return (
        "<h2>With some of the modalities (constructed)</h2>"
        '<p class="note">Only these modalities exist, in every turn.</p>'
        '<div class="grid">'
        + card("Weighted F1", str(score_bars("Weighted F1 by modalities", rows)))
        + card("Other figures, and the mean weight of each modality", table(head, figures))
        + "</div>"
    )


def _missing(report: RobustnessReport) -> str:
    whole = [row for row in report.missing if row.modalities == MODALITIES]
    by_turn = [row for row in whole if row.pattern == "turns"]
    bursts = [row for row in whole if row.pattern == "bursts"]
    labels = [f"{row.rate:.0%}" for row in by_turn]
    plot = strength_plot(
        "Weighted F1 over the share that is missing",
        labels,
        [("1", "turn by turn", _f1(by_turn)), ("3", "in bursts", _f1(bursts))],
        height=240,
    )
    colours = legend([("fill-1", "turn by turn"), ("fill-3", "in bursts of about 4 turns")])
    rows = [
        [f"{' + '.join(mask)}, {pattern}", *(f"{f1:.3f}" for f1 in _f1(found))]
        for (mask, pattern), found in report.missing_by_mask().items()
    ]
    head = ["modalities present, missing in", *labels]
    note = (
        "A turn of which nothing arrived counts with the speaker’s last estimate, or as "
        "neutral where there is none."
    )
    return (
        "<h2>With modalities that come and go (constructed)</h2>"
        '<p class="note">Each modality is missing independently, in this share of the turns.</p>'
        '<div class="grid">'
        + card("With all three modalities", f"{plot}{colours}")
        + card("Weighted F1 over the share that is missing", table(head, rows), note)
        + "</div>"
    )


def _corruptions(report: RobustnessReport, modality: str) -> str:
    curves = [curve for curve in report.corruptions if curve.modality == modality]
    cards = "".join(_curve(report, curve) for curve in curves)
    return (
        f"<h2>Corrupted {modality} (constructed)</h2>"
        f'<p class="note">Dashed: the same turns without {modality}. Below that line, corrupted '
        f"{modality} does more harm than having none. Green: the mean weight that it is given."
        f'</p><div class="grid">{cards}</div>'
    )


def _curve(report: RobustnessReport, curve: Curve) -> str:
    outcomes = [report.whole, *(point.outcome for point in curve.points)]
    labels = ["none", *(f"{point.strength:g}" for point in curve.points)]
    scores = strength_plot(
        f"Weighted F1, {curve.corruption}",
        labels,
        [("1", "weighted F1", [outcome.figures["weighted_f1"] for outcome in outcomes])],
        height=190,
        limit=(f"no {curve.modality}", curve.absent.figures["weighted_f1"]),
    )
    weights = strength_plot(
        f"Weight of {curve.modality}, {curve.corruption}",
        labels,
        [("2", "weight", [outcome.modality_weights[curve.modality] for outcome in outcomes])],
        height=120,
        floor=0.0,
    )
    worst = max(point.lost_against_absent["weighted_f1"] for point in curve.points)
    note = (
        f"At its worst, {worst:.3f} lost against no {curve.modality} at all."
        if worst > 0
        else f"Never worse than no {curve.modality} at all."
    )
    return card(f"{curve.corruption}: {curve.measure}", f"{scores}{weights}", note)


def _measured_with(report: RobustnessReport) -> str:
    rows = {
        "Conversations": f"{report.constructed.what}; split {report.constructed.split}, "
        f"{report.constructed.actors} actors",
        "Settings": f"{report.settings.dialogues} dialogues, seed {report.settings.seed}",
    }
    return measured_with(report.bundle, report.engine, rows)


def _f1(rows: Sequence[Missing]) -> list[float]:
    return [row.outcome.figures["weighted_f1"] for row in rows]


def _names() -> list[str]:
    return [name.replace("_f1", " F1") for name in FIGURES]


def _figures(outcome: Outcome) -> list[str]:
    return [f"{outcome.figures[name]:.3f}" for name in FIGURES]


def _weights(outcome: Outcome) -> list[str]:
    return [f"{outcome.modality_weights[name]:.2f}" for name in MODALITIES]
