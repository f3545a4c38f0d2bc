"""The precision of a graph, read from the graph and not from what its maker intended."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from dcet.runtime.errors import DcetError

Precision = Literal["fp32", "fp16", "int8"]

_PRECISIONS: dict[int, Precision] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
}
# Where the arithmetic is, and which of its inputs may be weights.
_WEIGHT_INPUTS = {
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "Conv": (1,),
    "ConvTranspose": (1,),
    "MatMulInteger": (0, 1),
    "ConvInteger": (1,),
    "QLinearMatMul": (0, 3),
    "QLinearConv": (3,),
}
# What may stand between a weight and the operator that multiplies it.
_PASS_THROUGH = {"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Transpose"}


class PrecisionError(DcetError, ValueError):
    """The precision of a graph is none that a bundle knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPrecision:
    """Evidence for a graph's precision."""

    precision: Precision  # narrowest type that most of the multiplied weights pass through
    arithmetic: Precision  # type in which most of them are multiplied
    qdq_count: int  # QuantizeLinear and DequantizeLinear nodes
    weight_bytes: int  # size of all initialisers


def inspect_precision(model: ModelProto) -> GraphPrecision:
    """Find what most of the weights that a model multiplies were rounded to.

    A weight that is quantised counts as int8 whether it is stored so or only passes a
    QuantizeLinear. A weight that is stored as float16 and cast to float32 has the precision fp16,
    and the arithmetic fp32. A graph that multiplies no weights has the precision of its first
    output.

    Raises PrecisionError when one of these types is not float32, float16, int8 or uint8.
    """
    graphs = list(_nested(model.graph))
    nodes = [node for graph in graphs for node in graph.node]
    weights = [tensor for graph in graphs for tensor in graph.initializer]
    trace = _Trace(nodes, weights)

    rounded: Counter[int] = Counter()  # number of weights by element type
    multiplied: Counter[int] = Counter()
    for node in nodes:
        for position in _WEIGHT_INPUTS.get(node.op_type, ()):
            found = trace.weight(node.input[position])
            if found is not None:
                rounded[found.narrowest] += found.size
                multiplied[found.element_type] += found.size
    of_output = model.graph.output[0].type.tensor_type.elem_type
    return GraphPrecision(
        precision=_most_common(rounded, of_output, model.graph.name),
        arithmetic=_most_common(multiplied, of_output, model.graph.name),
        qdq_count=sum(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in nodes),
        weight_bytes=sum(_size_bytes(tensor) for tensor in weights),
    )


def _most_common(sizes: Counter[int], where_none: int, graph: str) -> Precision:
    element_type = sizes.most_common(1)[0][0] if sizes else where_none
    if element_type not in _PRECISIONS:
        raise PrecisionError(
            f"graph {graph!r}: expected most weights to be float32, float16, int8 or "
            f"uint8, got {TensorProto.DataType.Name(element_type)}; export it in one of those"
        )
    return _PRECISIONS[element_type]


@dataclass(frozen=True, slots=True)
class _Weight:
    element_type: int  # in which it arrives at its operator
    narrowest: int  # that it passed through
    size: int  # number of elements

    def cast(self, element_type: int) -> "_Weight":
        narrowest = min(self.narrowest, element_type, key=_bytes_of)
        return _Weight(element_type, narrowest, self.size)


class _Trace:
    """Finds the weight behind an operator's input. Names are unique across nested graphs."""

    def __init__(self, nodes: list[NodeProto], weights: list[TensorProto]) -> None:
        self._tensors = {tensor.name: tensor for tensor in weights}
        self._makers: dict[str, NodeProto] = {}
        for node in nodes:
            self._makers.update(dict.fromkeys(node.output, node))
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._tensors[node.output[0]] = node.attribute[0].t

    def weight(self, name: str) -> _Weight | None:
        """Return the weight that arrives under this name, None where it is none."""
        if name in self._tensors:
            tensor = self._tensors[name]
            return _Weight(tensor.data_type, tensor.data_type, prod(tensor.dims))
        maker = self._makers.get(name)
        if maker is None or maker.op_type not in _PASS_THROUGH:
            return None
        found = self.weight(maker.input[0])
        if found is None:
            return None
        if maker.op_type == "Cast":
            return found.cast(next(each.i for each in maker.attribute if each.name == "to"))
        if maker.op_type == "QuantizeLinear":
            return found.cast(self._quantised_type(maker))
        return found

    def _quantised_type(self, quantise: NodeProto) -> int:
        if len(quantise.input) == 3 and quantise.input[2] in self._tensors:
            return int(self._tensors[quantise.input[2]].data_type)
        return int(TensorProto.UINT8)  # what ONNX says where there is no zero point


def _nested(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _nested(attribute.g)


def _size_bytes(tensor: TensorProto) -> int:
    # From the shape, not the data: large weights may lie in a side file.
    return _bytes_of(tensor.data_type) * prod(int(size) for size in tensor.dims)


def _bytes_of(element_type: int) -> int:
    return helper.tensor_dtype_to_np_dtype(element_type).itemsize
