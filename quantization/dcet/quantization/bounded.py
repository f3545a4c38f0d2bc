"""Quantisation under a bound: the layers that cost most go back to float until it holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from onnx import ModelProto

from dcet.quantization.inspect import inspect_precision
from dcet.quantization.int8 import QuantizationError
from dcet.quantization.restoring import restore
from dcet.quantization.sensitivity import Sensitivity

NAMED = 5  # layers in a message


class Verdict(Protocol):
    """What a judge found."""

    @property
    def misses(self) -> str | None:
        """What does not hold, and by how much; None where everything does."""


V = TypeVar("V", bound=Verdict)


class BoundError(QuantizationError):
    """No choice of layers keeps the bound with most weights in int8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded(Generic[V]):
    """Graphs that hold the bound."""

    graphs: Mapping[str, ModelProto]
    verdict: V
    restored: tuple[Sensitivity, ...]  # layers that went back to float, the most costly first


def bounded(
    floats: Mapping[str, ModelProto],
    quantised: Mapping[str, ModelProto],
    judge: Callable[[Mapping[str, ModelProto]], V],
    measure: Callable[[], Sequence[Sensitivity]],
) -> Bounded[V]:
    """The `quantised` graphs, with as few layers in float as the judge lets pass: none, or the
    first 1, 2, 4, … of what `measure` gives, which is asked only when they are needed.

    Raises BoundError where a graph would no longer be int8, naming the layers that cost most.
    """
    verdict = judge(quantised)
    if verdict.misses is None:
        return Bounded(graphs=quantised, verdict=verdict, restored=())
    ranked = measure()
    count = 1
    while count <= len(ranked):
        chosen = tuple(ranked[:count])
        graphs = {
            id: restore(graph, floats[id], [row.layer.node for row in chosen if row.graph == id])
            for id, graph in quantised.items()
        }
        if any(inspect_precision(graph).precision != "int8" for graph in graphs.values()):
            break
        verdict = judge(graphs)
        if verdict.misses is None:
            return Bounded(graphs=graphs, verdict=verdict, restored=chosen)
        count *= 2
    raise BoundError(
        f"{verdict.misses}, even with the {count // 2} most costly of {len(ranked)} layers in "
        f"float; with more, a graph would not be int8. What costs most: "
        f"{', '.join(map(str, ranked[:NAMED]))}. Allow a larger --max-drop, calibrate with turns "
        "like those it will meet, try the other --quantizer, or export with --precision fp16"
    )
