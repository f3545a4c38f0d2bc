"""The figures of a latency report on the page of all figures."""

from collections.abc import Sequence

from dcet.benchmarks.comparison import Report
from dcet.benchmarks.figure_table import FigureTable
from dcet.benchmarks.page.svg import figure


def _row(report: Report) -> Sequence[str]:
    three, cold = report["three_senses"], report["cold_start"]
    promises = report["promises"]
    return (
        f"{_p50(three, 'turn')} ms" if three else "",
        f"{_p50(report['fixed'], 'turn')} ms",
        f"{_p50(report['fixed'], 'step')} ms",
        f"{_grown_bytes(report['growth_over_turns']) / 1024:,.0f} KiB",
        f"{_grown_bytes(report['memory_over_sizes']) / 2**20:,.0f} MiB",
        f"{cold['import_s']:.2f} s",
        f"{cold['open_and_first_estimate_s']:.2f} s",
        f"{sum(promise['kept'] for promise in promises)} of {len(promises)}",
    )


def _grown_bytes(points: Sequence[Report]) -> int:
    return int(points[-1]["rss_bytes"] - points[0]["rss_bytes"])


def _p50(loop: Report, stage: str) -> str:
    return figure(loop["latency_ms"][stage]["p50"])


LATENCY_FIGURES = FigureTable(
    title="Latency",
    command="dcet-bench latency BUNDLE --json F",
    columns=(
        "turn with text, sound and faces, p50",
        "text turn, p50",
        "step, p50",
        "memory growth over turns",
        "memory growth over sizes",
        "import",
        "open and first estimate",
        "promises kept",
    ),
    row=_row,
)
