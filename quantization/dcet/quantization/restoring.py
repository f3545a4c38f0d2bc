"""Layers of a quantised graph put back to float32, as if they had never been quantised."""

from collections.abc import Collection

from onnx import ModelProto

from dcet.quantization.layers import bias_of, int8_layers, residual_sums
from dcet.quantization.pruning import prune


def restore(quantised: ModelProto, model: ModelProto, nodes: Collection[str]) -> ModelProto:
    """Return a copy of `quantised` whose layers at `nodes` compute what they compute in `model`.

    model: the float32 graph that it was made from

    Quantisers keep the names of nodes and of what comes out of them, so a layer is restored by
    reading what it once read: neither their scales and corrected biases nor what SmoothQuant put in
    between are of use to it any more, and they go. Only layers that stay int8, and the residual
    sums of their results, read quantised activations afterwards.
    """
    made = ModelProto()
    made.CopyFrom(quantised)
    layers = [layer for layer in int8_layers(quantised, model) if layer.node not in nodes]
    reads_int8 = {*residual_sums(model, layers), *(layer.node for layer in layers)}
    corrected = {*nodes, *filter(None, (bias_of(model, node) for node in nodes))}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    before = {node.name: node for node in model.graph.node}
    present = {tensor.name for tensor in made.graph.initializer}
    for node in made.graph.node:
        if node.name not in before:
            continue
        for place, name in enumerate(before[node.name].input):
            if name not in constants:
                if node.name not in reads_int8:
                    node.input[place] = name
            elif node.name in corrected:
                original = f"{name}.float"  # under its own name lies what the quantiser made of it
                node.input[place] = original
                if original not in present:
                    present.add(original)
                    copy = made.graph.initializer.add()
                    copy.CopyFrom(constants[name])
                    copy.name = original
    prune(made.graph)
    return made
