"""The figures of an accuracy report on the page of all figures."""

from collections.abc import Sequence

from dcet.benchmarks.comparison import Report
from dcet.benchmarks.figure_table import FigureTable


def _figures(report: Report) -> Sequence[str]:
    return (
        f"{report['corpus']}, {report['data']}{', memory reset' if report['reset_memory'] else ''}",
        f"{report['n']:,}",
        _with_interval(report, "weighted_f1"),
        *(f"{report[name]:.3f}" for name in ("accuracy", "uar", "ece")),
        f"{report['trust']['aurc']:.3f}" if "trust" in report else "",  # reports of 0.3 have none
        f"{report['unusable']['n']:,}",
    )


def _with_interval(report: Report, name: str) -> str:
    ends = report.get("interval_95", {}).get(name, ())  # reports of 0.3 have none
    interval = f" ({' to '.join(f'{end:.3f}' for end in ends)})" if ends else ""
    return f"{report[name]:.3f}{interval}"


ACCURACY_FIGURES = FigureTable(
    title="Accuracy through the bundle",
    command="dcet-bench accuracy BUNDLE --corpus meld --data FILE.csv --json F",
    columns=(
        "data",
        "n",
        "weighted F1 (95 % interval)",
        "accuracy",
        "UAR",
        "ECE",
        "area under risk over coverage",
        "unusable",
    ),
    row=_figures,
)
