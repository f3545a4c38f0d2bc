"""Quantisation under a bound: the layers that cost most go back to float until it holds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from onnx import ModelProto

from dcet.quantization.inspect import inspect_precision
from dcet.quantization.int8 import QuantizationError
from dcet.quantization.restoring import restore
from dcet.quantization.sensitivity import Sensitivity

NAMED = 5  # layers in a message


class Verdict(Protocol):
    """The finding of a judge."""

    @property
    def misses(self) -> str | None:
        """The bounds that do not hold, and by how much; None where all of them do."""


V = TypeVar("V", bound=Verdict)


class BoundError(QuantizationError):
    """No choice of layers keeps the bound with most weights in int8."""

    exit_code = 1


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
    """Return the `quantised` graphs with few layers in float: none where the judge lets that pass,
    else the first 1, 2, 4, … of what `measure` gives, which is called only when they are needed. Of
    those of each graph, the less costly half and then the other are int8 again where that passes,
    too.

    Raises BoundError where a graph would no longer be int8, naming the layers that cost most.
    """
    verdict = judge(quantised)
    if verdict.misses is None:
        return Bounded(graphs=quantised, verdict=verdict, restored=())
    ranked = measure()
    allowed = tuple(_while_int8(floats, quantised, ranked))
    count = 0
    while count < len(allowed):
        count = min(2 * count or 1, len(allowed))
        graphs = _restored(floats, quantised, allowed[:count])
        verdict = judge(graphs)
        if verdict.misses is None:
            found = Bounded(graphs=graphs, verdict=verdict, restored=allowed[:count])
            return _spared(floats, quantised, judge, found)
    raise BoundError(
        f"{verdict.misses}, even with the {count} most costly of {len(ranked)} layers in float; "
        f"with more, a graph would not be int8. What costs most: "
        f"{', '.join(map(str, ranked[:NAMED]))}. Allow a larger --max-drop, calibrate with turns "
        "like those it will meet, try the other --quantizer, or export with --precision fp16"
    )


def _spared(
    floats: Mapping[str, ModelProto],
    quantised: Mapping[str, ModelProto],
    judge: Callable[[Mapping[str, ModelProto]], V],
    found: Bounded[V],
) -> Bounded[V]:
    """Return to int8 the layers that were not needed in float, half a graph's at a time."""
    for id in dict.fromkeys(row.graph for row in found.restored):
        rows = [row for row in found.restored if row.graph == id]
        middle = len(rows) // 2
        for half in (rows[middle:], rows[:middle]):
            left = tuple(row for row in found.restored if row not in half)
            if len(left) in (0, len(found.restored)):  # was judged
                continue
            graphs = _restored(floats, quantised, left)
            verdict = judge(graphs)
            if verdict.misses is None:
                found = Bounded(graphs=graphs, verdict=verdict, restored=left)
    return found


def _while_int8(
    floats: Mapping[str, ModelProto],
    quantised: Mapping[str, ModelProto],
    ranked: Sequence[Sensitivity],
) -> Iterator[Sensitivity]:
    """Yield, in order, those that may all be float while most weights of each graph stay int8."""
    taken: list[Sensitivity] = []
    for row in ranked:
        graphs = _restored(
            {row.graph: floats[row.graph]}, {row.graph: quantised[row.graph]}, [*taken, row]
        )
        if inspect_precision(graphs[row.graph]).precision == "int8":
            taken.append(row)
            yield row


def _restored(
    floats: Mapping[str, ModelProto],
    quantised: Mapping[str, ModelProto],
    rows: Sequence[Sensitivity],
) -> dict[str, ModelProto]:
    return {
        id: restore(graph, floats[id], [row.layer.node for row in rows if row.graph == id])
        for id, graph in quantised.items()
    }
