"""The layers of a graph: its products with weights, by names that people know."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

# By operator, which of its inputs may be a weight.
_OPERANDS: Mapping[str, tuple[int, ...]] = {"Conv": (1,), "Gemm": (0, 1), "MatMul": (0, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A product with a weight."""

    node: str  # name of its node
    title: str  # what its parameters are called in the checkpoint
    weight: str  # name of its weight


def weighted_layers(model: ModelProto, *, keep: tuple[str, ...] = ()) -> tuple[Layer, ...]:
    """Return the layers in the order in which they run, without those whose weights' names begin
    with one of `keep`.

    A product of two activations, as in attention, is no layer, nor is one whose weight is
    quantised.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    layers = []
    for node in model.graph.node:
        found = [node.input[i] for i in _OPERANDS.get(node.op_type, ()) if node.input[i] in weights]
        if found and not found[0].startswith(keep):
            title = _title(model, node, found[0])
            layers.append(Layer(node=node.name, title=title, weight=found[0]))
    return tuple(layers)


def int8_layers(quantised: ModelProto, model: ModelProto) -> tuple[Layer, ...]:
    """Return the layers of `model` whose weights are dequantised in `quantised`: those in int8."""
    weights = {tensor.name for tensor in quantised.graph.initializer}
    dequantised = {
        node.output[0]
        for node in quantised.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in weights
    }
    nodes = {node.name for node in quantised.graph.node if dequantised.intersection(node.input)}
    return tuple(layer for layer in weighted_layers(model) if layer.node in nodes)


def residual_sums(model: ModelProto, layers: Collection[Layer]) -> tuple[str, ...]:
    """Name the sums of the results of convolutions among `layers`, with ReLUs in between.

    Engines add the other branch of a residual connection to an int8 convolution without leaving
    int8, so such sums are worth quantising too.
    """
    inside = {layer.node for layer in layers}
    convolved: set[str] = set()
    sums = []
    for node in model.graph.node:  # in topological order
        if node.op_type == "Conv" and node.name in inside:
            convolved.update(node.output)
        elif node.op_type in ("Add", "Relu") and convolved.issuperset(node.input):
            convolved.update(node.output)
            if node.op_type == "Add":
                sums.append(node.name)
    return tuple(sums)


def bias_of(model: ModelProto, node: str) -> str | None:
    """Name the node that adds a constant to what comes out of `node`, where there is one."""
    weights = {tensor.name for tensor in model.graph.initializer}
    output = next(each.output[0] for each in model.graph.node if each.name == node)
    for each in model.graph.node:
        if each.op_type == "Add" and output in each.input and weights & set(each.input):
            return str(each.name)
    return None


def _title(model: ModelProto, node: NodeProto, weight: str) -> str:
    """Name a layer, by its bias where the exporter transposed the weight and called it val_7."""
    if "." in weight:
        return weight.rpartition(".")[0]
    adds = bias_of(model, node.name)
    read = next((each.input for each in model.graph.node if each.name == adds), ())
    return next((name.rpartition(".")[0] for name in read if "." in name), node.name)
