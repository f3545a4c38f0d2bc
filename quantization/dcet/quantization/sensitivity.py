"""The sensitivity of each layer: how far the estimates move when it alone is quantised."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from dcet.data.playing import play
from dcet.data.turns import Turns
from dcet.quantization.layers import Layer, int8_layers
from dcet.quantization.restoring import restore
from dcet.quantization.session import open_session
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.golden import replay_golden
from dcet.runtime.engines.engine import Arrays, Engine

Key = TypeVar("Key")

SAMPLE = 60  # turns, or a conversation more; a layer takes about a second
WORTH_A_SEARCH = 1 / 3
SIDE_BY_SIDE = 4  # layers at most: each takes a copy of its graph and a session


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The cost of one layer in int8."""

    graph: str
    layer: Layer
    mean_kl: float  # nats, of the float estimates from those with this layer in int8
    max_abs_probability: float  # largest change over the golden sequences

    def __str__(self) -> str:
        return (
            f"{self.graph} {self.layer.title} (mean KL {self.mean_kl:.1e}, a probability by "
            f"{self.max_abs_probability:.3f})"
        )


def sensitivities(
    bundle: Bundle,
    turns: Turns,
    floats: Mapping[str, ModelProto],
    quantised: Mapping[str, ModelProto],
    progress: Callable[[str], None],
) -> list[Sensitivity]:
    """Measure the int8 layers of the `quantised` graphs; return the most costly first.

    bundle: of the float graphs

    The order is that of the larger share of the worst layer's cost, in mean KL over turns or in
    probability over the golden sequences: both are promises. Of a graph that as a whole costs less
    than a third of the most costly one, no layer is measured.
    """
    sample = _first(turns, SAMPLE)
    engine = _Remembering(bundle.engine("onnxruntime"))
    before = play(bundle, sample, engine)

    def cost(id: str, model: ModelProto) -> tuple[float, float]:
        swapped = _Swapped(engine, id, model)
        rows = [row for row in replay_golden(bundle, swapped) if row.label_agreement is not None]
        kl = mean_kl(before, play(bundle, sample, swapped))
        return kl, max(row.max_abs_probability for row in rows)

    progress("sensitivity of whole graphs")
    shares = _shares({id: cost(id, model) for id, model in quantised.items()})
    layers = [
        (id, layer)
        for id in quantised
        if shares[id] >= WORTH_A_SEARCH
        for layer in int8_layers(quantised[id], floats[id])
    ]

    def alone(chosen: tuple[str, Layer]) -> Sensitivity:
        id, layer = chosen
        others = [other.node for of, other in layers if of == id and other != layer]
        kl, change = cost(id, restore(quantised[id], floats[id], others))
        return Sensitivity(graph=id, layer=layer, mean_kl=kl, max_abs_probability=change)

    rows = []
    pool = ThreadPoolExecutor(min(SIDE_BY_SIDE, os.cpu_count() or 1))
    try:
        for done, row in enumerate(pool.map(alone, layers), start=1):
            progress(f"sensitivity of layer {done} of {len(layers)}")
            rows.append(row)
    finally:
        pool.shutdown(cancel_futures=True)
    share_of = _shares({row: (row.mean_kl, row.max_abs_probability) for row in rows})
    return sorted(rows, key=lambda row: share_of[row], reverse=True)


def _shares(costs: Mapping[Key, tuple[float, float]]) -> dict[Key, float]:
    """Return, of each pair of costs, the larger share of what the worst has."""
    worst = [max(column) or 1.0 for column in zip(*costs.values(), strict=True)]
    return {
        key: max(cost / most for cost, most in zip(pair, worst, strict=True))
        for key, pair in costs.items()
    }


def mean_kl(before: NDArray[Any], after: NDArray[Any]) -> float:
    """Return the mean Kullback-Leibler divergence in nats of `before` from `after`, (n, classes)
    each."""
    p, q = (np.clip(each, 1e-12, None) for each in (before, after))
    return float((p * np.log(p / q)).sum(axis=1).mean())


def _first(turns: Turns, least: int) -> Turns:
    """Return whole conversations with `least` turns together, where there are as many."""

    def chosen() -> Iterator[str]:
        count = 0
        for name, of in turns.conversations.items():
            if count >= least:
                return
            count += len(of)
            yield name

    return Turns(turns.name, {name: turns.conversations[name] for name in chosen()})


class _Remembering(Engine):
    """An engine that runs an encoder once for each of its inputs."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.reason = engine.name, engine.reason
        self._engine = engine
        self._known: dict[bytes, dict[str, NDArray[Any]]] = {}

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[Any]]:
        if graph == "step":
            return self._engine.run(graph, inputs)
        digest = hashlib.blake2b(graph.encode())
        for array in inputs.values():
            digest.update(np.ascontiguousarray(array).data)
        key = digest.digest()
        if key not in self._known:
            self._known[key] = self._engine.run(graph, inputs)
        return {name: array.copy() for name, array in self._known[key].items()}


class _Swapped(Engine):
    """An engine with another model for one of its graphs."""

    def __init__(self, engine: Engine, graph: str, model: ModelProto) -> None:
        self.name, self.reason = engine.name, f"one layer of {graph} in int8"
        self._engine, self._graph = engine, graph
        self._session = open_session(model, threads=1)  # layers are measured side by side
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[Any]]:
        if graph != self._graph:
            return self._engine.run(graph, inputs)
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))
