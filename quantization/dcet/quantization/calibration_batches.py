"""Real input to calibrate graphs with: what they are fed while labelled turns are played."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.data.playing import play
from dcet.data.turns import Turns
from dcet.quantization.int8 import Batch
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.engines.engine import Arrays, Engine


class Recorder(Engine):
    """An engine that keeps what the graphs of another one are fed."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.reason = engine.name, engine.reason
        self._engine = engine
        self.fed: dict[str, list[Batch]] = defaultdict(list)  # by graph

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.fed[graph].append({name: np.array(array) for name, array in inputs.items()})
        return self._engine.run(graph, inputs)


def record_batches(
    bundle: Bundle, turns: Turns, engine: str
) -> tuple[dict[str, list[Batch]], NDArray[np.float64]]:
    """Play these turns; return what each graph was fed, and the probabilities (n, 7)."""
    recorder = Recorder(bundle.engine(engine))
    probabilities = play(bundle, turns, recorder)
    return dict(recorder.fed), probabilities


def spread_batches(batches: Sequence[Batch], most: int) -> Sequence[Batch]:
    """Return at most so many of them, evenly spread."""
    if len(batches) <= most:
        return batches
    return [batches[place] for place in np.linspace(0, len(batches) - 1, most).round().astype(int)]
