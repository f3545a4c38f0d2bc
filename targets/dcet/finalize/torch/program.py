"""An ONNX graph as a torch module, for what compiles torch programs.

What is compiled is the graph that the bundle holds, in its precision and with its evidence: a
bundle needs no second copy of the weights, and a device none of the model's code. torch can save a
program itself (`torch.export.save`), but to read one is to unpickle its sample inputs and to
evaluate its symbolic shapes, and a bundle is data.
"""

from collections.abc import Mapping

import onnx
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from dcet.finalize.torch.operators import OPERATORS, Value
from dcet.runtime.errors import EngineError

MOST_SIZES = 8  # a longer list of whole numbers is data


class TorchProgram(nn.Module):
    """A torch module that maps a graph's inputs to its outputs, both in the graph's order.

    Raises EngineError for an operator that it does not know.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        graph = model.graph
        self._inputs = [value.name for value in graph.input]
        self._outputs = [value.name for value in graph.output]
        constants: dict[str, Value] = {"": None}  # the name of an input that is left out
        ranges = {name for node in graph.node if node.op_type == "Range" for name in node.input}
        constants |= {each.name: _constant(each, each.name in ranges) for each in graph.initializer}
        self._nodes = []
        for proto in graph.node:
            node = _Node(proto, graph.name)
            if constants.keys() >= {*node.inputs}:  # such as the cast of a weight
                constants |= node.run(constants)
            else:
                self._nodes.append(node)
        used = {*self._outputs}.union(*(node.inputs for node in self._nodes))
        self._constants = {name: constants[name] for name in sorted(constants.keys() & used)}
        self._places: dict[
            str, str
        ] = {}  # of tensors among the buffers, which move to a device with the module
        for name, value in self._constants.items():
            if isinstance(value, Tensor):
                self._places[name] = f"constant_{len(self._places)}"
                self.register_buffer(self._places[name], value)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the graph: a tensor for each of its inputs -> one for each of its outputs."""
        values = dict(self._constants)
        values |= {name: getattr(self, place) for name, place in self._places.items()}
        values |= zip(self._inputs, inputs, strict=True)
        with inputs[0].device:  # where a range is made
            for node in self._nodes:
                values |= node.run(values)
        return tuple(values[name] for name in self._outputs)


class _Node:
    def __init__(self, proto: NodeProto, graph: str) -> None:
        kind = ".".join(filter(None, (proto.domain, proto.op_type)))
        if kind not in OPERATORS:
            raise EngineError(
                f"graph {graph!r}, node {proto.name or proto.output[0]!r}: expected an operator "
                f"that torch programs are made of, got {kind}; use another engine"
            )
        self.inputs = list(proto.input)
        self._outputs = list(proto.output)
        self._operator = OPERATORS[kind]
        self._attributes = {row.name: helper.get_attribute_value(row) for row in proto.attribute}
        if kind == "Split":
            self._attributes["parts"] = len(self._outputs)

    def run(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the outputs of the operator by their names."""
        made = self._operator(*(values[name] for name in self.inputs), **self._attributes)
        return dict(zip(self._outputs, made if isinstance(made, tuple) else (made,), strict=True))


def _constant(tensor: TensorProto, is_of_range: bool) -> Value:
    array = numpy_helper.to_array(tensor)
    are_sizes = tensor.data_type == TensorProto.INT64 and array.ndim <= 1
    if is_of_range or (are_sizes and array.size <= MOST_SIZES):
        return array.tolist()
    return torch.from_numpy(array.copy())
