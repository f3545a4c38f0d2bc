"""Run the graphs of a bundle on an engine of your own: python examples/own_engine.py

It needs a name, a reason and `run`. This one lets ONNX Runtime do the work, and times it.
"""

from collections import defaultdict
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from dcet.runtime import Bundle, Conversation
from dcet.runtime.engines.engine import Arrays, Engine


class Stopwatch(Engine):
    """Another engine, and the milliseconds that each of its graphs took."""

    name = "stopwatch"
    reason = "to see where the time goes"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.taken_ms: dict[str, list[float]] = defaultdict(list)

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        started = perf_counter()
        outputs = self._engine.run(graph, inputs)
        self.taken_ms[graph].append((perf_counter() - started) * 1000)
        return outputs


def main() -> None:
    bundle = Bundle.default()
    stopwatch = Stopwatch(bundle.engine("onnxruntime"))
    conversation = Conversation(bundle, stopwatch)
    for line in ("Is that the letter?", "It is. I have not opened it.", "I got the job!"):
        estimate = conversation.turn("Ann", line)
        print(f"{estimate.emotion:<9} by {estimate.engine}, {estimate.engine_reason}: {line}")
    for graph, taken_ms in stopwatch.taken_ms.items():
        print(f"{graph:<5} ran {len(taken_ms)} times, {np.median(taken_ms):.1f} ms each")


if __name__ == "__main__":
    main()
