"""The figures of a report of peers on the page of all figures."""

from collections.abc import Sequence

from dcet.benchmarks.comparison import Report
from dcet.benchmarks.figure_table import FigureTable
from dcet.benchmarks.page.svg import figure
from dcet.benchmarks.peers.measure import STACKS


def _row(report: Report) -> Sequence[str]:
    stages = {stage["name"]: stage for stage in report["stages"]}
    total = stages["total"]
    return (
        f"{figure(total['dcet_ms']['p50'])} ms",
        f"{figure(stages['encoders']['dcet_ms']['p50'])} ms",
        *(
            f"{figure(total['peer_ms'][stack]['p50'])} ms, {figure(total['ratio'][stack])}×"
            for stack in STACKS
        ),
    )


PEERS_FIGURES = FigureTable(
    title="Compared with BERT-base, Wav2Vec2-base and ResNet-50",
    command="dcet-bench peers BUNDLE --json F",
    columns=(
        "DCET, whole turn, p50",
        "its encoders",
        *(f"peers in {stack} ({what})" for stack, what in STACKS.items()),
    ),
    row=_row,
)
