"""The kinds of report that `dcet-bench` writes, by their schema."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dcet.benchmarks import accuracy
from dcet.benchmarks.comparison import Report, Row
from dcet.benchmarks.latency import compare as latency
from dcet.benchmarks.latency.measure import LATENCY_SCHEMA
from dcet.benchmarks.peers import compare as peers
from dcet.benchmarks.peers.measure import PEERS_SCHEMA
from dcet.benchmarks.prediction import compare as prediction
from dcet.benchmarks.prediction.measure import PREDICT_SCHEMA
from dcet.benchmarks.robustness import compare as robustness
from dcet.benchmarks.robustness.measure import ROBUSTNESS_SCHEMA


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What can be done with a report of one schema, besides measuring it."""

    compare: Callable[[Report, Report, float], Iterable[Row]]
    """Rows of two reports, with the share by which a latency may be slower. Raises ReportError
    where the two are about different things."""


KINDS: Mapping[str, Kind] = {
    LATENCY_SCHEMA: Kind(compare=latency.compare_latency),
    accuracy.ACCURACY_SCHEMA: Kind(compare=accuracy.compare_accuracy),
    ROBUSTNESS_SCHEMA: Kind(compare=robustness.compare_robustness),
    PEERS_SCHEMA: Kind(compare=peers.compare_peers),
    PREDICT_SCHEMA: Kind(compare=prediction.compare_predictions),
}
