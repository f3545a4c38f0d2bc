"""The accuracy report as one HTML file."""

from html import escape

from dcet.benchmarks.accuracy.measure import AccuracyReport
from dcet.benchmarks.accuracy.table import answered, interval
from dcet.benchmarks.page.markup import card, legend, measured_with, table, whole_page
from dcet.benchmarks.page.scores import strength_plot

FIGURES = ("weighted_f1", "macro_f1", "accuracy", "uar", "ece", "nll")


def render_accuracy(report: AccuracyReport) -> str:
    title = f"{report.bundle.name} {report.bundle.version}: accuracy"
    sections = (
        _header(report),
        _risk(report),
        _reliability(report),
        measured_with(report.bundle, report.engine, {}),
    )
    return whole_page(title, sections)


def _header(report: AccuracyReport) -> str:
    metrics = report.metrics
    memory = "memory reset after every turn" if report.reset_memory else "with memory"
    names = [name.replace("_", " ") for name in FIGURES]
    classes = [[name, f"{f1:.3f}"] for name, f1 in metrics["per_class_f1"].items()]
    groups = [
        [f"{group}, {name}", f"{value:.3f}", ""]
        for group in ("sentiment", "shift")
        for name, value in metrics[group].items()
    ]
    figures = [
        [name, f"{metrics[key]:.3f}", interval(metrics, key, 3)]
        for name, key in zip(names, FIGURES, strict=True)
    ]
    return (
        f"<h1>{escape(f'{report.bundle.name} {report.bundle.version}')}: accuracy</h1>"
        f'<p class="lead">{metrics["n"]:,} utterances of {escape(report.data)}, {memory}, through '
        f"the runtime. Measured {escape(report.created[:10])}.</p>"
        '<div class="grid">'
        + card("Figures", table(["", "", "95 % interval"], figures + groups))
        + card("F1 by emotion", table(["", ""], classes))
        + "</div>"
    )


def _risk(report: AccuracyReport) -> str:
    trust = report.trust
    plot = strength_plot(
        "Share of wrong answers over coverage",
        [f"{risk.coverage:.0%}" for risk in trust.risks],
        [("1", "risk", [risk.risk for risk in trust.risks])],
        height=250,
        floor=0.0,
    )
    rows = [
        [f"{risk.coverage:.0%}", f"{risk.n:,}", f"{risk.risk:.3f}", f"{risk.least:.2f}"]
        for risk in trust.risks
    ]
    return (
        "<h2>Risk against coverage</h2>"
        '<p class="note">The share of wrong answers where only the surest turns are answered: '
        f"{escape(answered(report))}.</p>"
        '<div class="grid">'
        + card("Risk over the share that is answered", str(plot))
        + card("Figures", table(["coverage", "turns", "risk", "surer than"], rows))
        + "</div>"
    )


def _reliability(report: AccuracyReport) -> str:
    trust = report.trust
    if not trust.reliability:
        return ""
    plot = strength_plot(
        "Accuracy, and what was promised",
        [f"≥ {row.low:.1f}" for row in trust.reliability],
        [
            ("1", "accuracy", [row.accuracy for row in trust.reliability]),
            ("3", trust.ranked_by, [row.confidence for row in trust.reliability]),
        ],
        height=250,
        floor=0.0,
    )
    colours = legend([("fill-1", "accuracy"), ("fill-3", f"mean {trust.ranked_by}")])
    rows = [
        [
            f"{row.low:.1f} to {row.high:.1f}",
            f"{row.n:,}",
            f"{row.confidence:.3f}",
            f"{row.accuracy:.3f}",
        ]
        for row in trust.reliability
    ]
    return (
        f"<h2>Reliability of the {escape(trust.ranked_by)}</h2>"
        '<p class="note">Of estimates that promise to be right with some probability, as large a '
        f"share should be. Calibration error (ECE): {trust.ece:.3f}.</p>"
        '<div class="grid">'
        + card("Promised, and kept", f"{plot}{colours}")
        + card("Figures", table([trust.ranked_by, "estimates", "mean", "accuracy"], rows))
        + "</div>"
    )
