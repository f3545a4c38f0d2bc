"""The kinds of report that `dcet-bench` writes, by their schema."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcet.benchmarks.accuracy.compare import compare_accuracy
from dcet.benchmarks.accuracy.figures import ACCURACY_FIGURES
from dcet.benchmarks.accuracy.measure import ACCURACY_SCHEMA
from dcet.benchmarks.comparison import Report, ReportError, Row
from dcet.benchmarks.figure_table import FigureTable
from dcet.benchmarks.latency.compare import compare_latency
from dcet.benchmarks.latency.figures import LATENCY_FIGURES
from dcet.benchmarks.latency.measure import LATENCY_SCHEMA
from dcet.benchmarks.live.compare import compare_live
from dcet.benchmarks.live.figures import LIVE_FIGURES
from dcet.benchmarks.live.measure import LIVE_SCHEMA
from dcet.benchmarks.memory.compare import compare_memory
from dcet.benchmarks.memory.figures import MEMORY_FIGURES
from dcet.benchmarks.memory.measure import MEMORY_SCHEMA
from dcet.benchmarks.peers.compare import compare_peers
from dcet.benchmarks.peers.figures import PEERS_FIGURES
from dcet.benchmarks.peers.measure import PEERS_SCHEMA
from dcet.benchmarks.prediction.compare import compare_predictions
from dcet.benchmarks.prediction.figures import PREDICTION_FIGURES
from dcet.benchmarks.prediction.measure import PREDICT_SCHEMA
from dcet.benchmarks.robustness.compare import compare_robustness
from dcet.benchmarks.robustness.figures import ROBUSTNESS_FIGURES
from dcet.benchmarks.robustness.measure import ROBUSTNESS_SCHEMA
from dcet.benchmarks.room.compare import compare_room
from dcet.benchmarks.room.figures import ROOM_FIGURES
from dcet.benchmarks.room.measure import ROOM_SCHEMA
from dcet.runtime.files import read_json


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The comparison and the figures of a report of one schema."""

    compare: Callable[[Report, Report, float], Iterable[Row]]
    """Rows of two reports, with the share by which a latency may be slower. Raises ReportError
    where the two are about different things."""

    figures: FigureTable


KINDS: Mapping[str, Kind] = {
    LATENCY_SCHEMA: Kind(compare=compare_latency, figures=LATENCY_FIGURES),
    ACCURACY_SCHEMA: Kind(compare=compare_accuracy, figures=ACCURACY_FIGURES),
    ROBUSTNESS_SCHEMA: Kind(compare=compare_robustness, figures=ROBUSTNESS_FIGURES),
    ROOM_SCHEMA: Kind(compare=compare_room, figures=ROOM_FIGURES),
    LIVE_SCHEMA: Kind(compare=compare_live, figures=LIVE_FIGURES),
    MEMORY_SCHEMA: Kind(compare=compare_memory, figures=MEMORY_FIGURES),
    PEERS_SCHEMA: Kind(compare=compare_peers, figures=PEERS_FIGURES),
    PREDICT_SCHEMA: Kind(compare=compare_predictions, figures=PREDICTION_FIGURES),
}


def read_report(path: Path, schemas: Sequence[str] = tuple(KINDS)) -> Report:
    """Read a file of dcet-bench that has one of these schemas. Raises ReportError."""
    try:
        report = read_json(path)
    except (OSError, ValueError) as error:
        raise ReportError(
            f"{path}: expected a report that dcet-bench wrote with --json: {error}"
        ) from error
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema not in schemas:
        *others, last = schemas
        raise ReportError(
            f"{path}: expected schema {', '.join(others)} or {last}, got {schema!r}; "
            "write the report again with this version of dcet-bench"
        )
    return dict(report)
