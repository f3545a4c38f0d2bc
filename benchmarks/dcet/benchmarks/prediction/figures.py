"""The figures of a prediction on the page of all figures, where it is called one."""

from collections.abc import Sequence

from dcet.benchmarks.comparison import Report
from dcet.benchmarks.figure_table import FigureTable
from dcet.benchmarks.page.svg import figure
from dcet.benchmarks.prediction.measure import KIND


def _row(report: Report) -> Sequence[str]:
    turn, mode = report["turn"], report["power_mode"]
    return (
        f"{report['device']['model']}, {mode['name']}",
        f"{figure(turn['latency_ms'])} ms",
        f"{figure(turn['as_far_as_here_ms'])} ms",
        f"{figure(turn['energy_mj'])} mJ",
    )


PREDICTION_FIGURES = FigureTable(
    title=f"Devices that were not there ({KIND})",
    command="dcet-bench predict BUNDLE --target TARGET --json F",
    columns=(
        "predicted for",
        "turn, at least",
        "as far off as here",
        "energy, at least",
    ),
    row=_row,
)
