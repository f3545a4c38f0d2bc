"""FP16 arithmetic: float16 operators, for engines that compute in the types a graph states."""

from collections.abc import Collection

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from dcet.quantization.layers import weighted_layers
from dcet.quantization.pruning import prune

LARGEST = float(np.finfo(np.float16).max)
# What loses nothing that counts. The others stay float32: sums over many items and what is divided
# by them (softmax, normalisations, means), squares, logarithms and exponentials.
HALF = frozenset(
    "Add Clip Concat Conv Erf Expand Gather Gemm MatMul MaxPool Mul Neg Relu Reshape Sigmoid Slice "
    "Split Squeeze Sub Tanh Transpose Unsqueeze".split()
)


def compute_fp16(model: ModelProto, *, keep: tuple[str, ...] = ()) -> ModelProto:
    """Return a copy of a model that multiplies its weights, and most of what follows, in float16.

    Inputs and outputs stay float32, and so do operators that need its range or its precision and
    everything that no layer has a part in: preparation, masks, numbers of speakers. Layers whose
    weights' names begin with one of `keep` count as preparation. Constants beyond float16 become
    its largest number.
    """
    types = _types(model)
    half_nodes = _half_nodes(model, keep)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    in_half = {
        name
        for node in model.graph.node
        if node.name in half_nodes
        for name in node.output
        if types.get(name) == TensorProto.FLOAT
    }
    read_in_float = outputs | {
        name for node in model.graph.node if node.name not in half_nodes for name in node.input
    }
    made = ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    del graph.node[:]
    del graph.value_info[:]
    halved: set[str] = set()
    for node in model.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        if node.name in half_nodes:
            for place, name in enumerate(node.input):
                if types.get(name) != TensorProto.FLOAT:
                    continue
                copy.input[place] = f"{name}.half"
                if name in in_half or name in halved:
                    continue
                halved.add(name)
                if name in constants:
                    graph.initializer.append(_half(constants[name]))
                else:
                    graph.node.append(_cast(name, f"{name}.half", TensorProto.FLOAT16))
            for place, name in enumerate(node.output):
                if name in in_half:
                    copy.output[place] = f"{name}.half"
        graph.node.append(copy)
        graph.node.extend(
            _cast(f"{name}.half", name, TensorProto.FLOAT)
            for name in node.output
            if name in in_half and name in read_in_float
        )
    prune(graph)
    onnx.checker.check_model(made, full_check=True)
    return made


def _types(model: ModelProto) -> dict[str, int]:
    """Return the element type of every tensor."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: int(value.type.tensor_type.elem_type) for value in values}
    return types | {tensor.name: int(tensor.data_type) for tensor in graph.initializer}


def _half_nodes(model: ModelProto, keep: tuple[str, ...]) -> Collection[str]:
    """Name the nodes that compute in float16: layers, and what comes after one."""
    layers = {layer.node for layer in weighted_layers(model, keep=keep)}
    touched: set[str] = set()
    names = set()
    for node in model.graph.node:  # in topological order
        if node.name in layers or touched & set(node.input):
            touched.update(node.output)
            if node.op_type in HALF:
                names.add(node.name)
    return names


def _half(tensor: TensorProto) -> TensorProto:
    values = numpy_helper.to_array(tensor).clip(-LARGEST, LARGEST)
    return numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")


def _cast(name: str, to_name: str, to: int) -> NodeProto:
    return helper.make_node("Cast", [name], [to_name], name=f"{to_name}.cast", to=to)
