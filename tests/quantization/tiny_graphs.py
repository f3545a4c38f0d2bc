"""Graphs of a few layers to quantise: one that sees, and one that multiplies twice."""

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]
LAYERS = ("stem", "left", "right", "head")


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[int | str, ...]],
    **weights: NDArray[np.floating],
) -> onnx.ModelProto:
    """A checked graph of float32 that ends in `y`; `__` in the name of a weight stands for a dot.

    Every node is called what it puts out.
    """
    for node in nodes:
        node.name = node.output[0]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [value("y", TensorProto.FLOAT, ("rows", "columns"))],
        [
            numpy_helper.from_array(array.astype(np.float32), name.replace("__", "."))
            for name, array in weights.items()
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def sees(seed: int = 0) -> onnx.ModelProto:
    """Preparation by a product with `front.w`, a stem, a residual connection, a head."""
    rng = np.random.default_rng(seed)
    node = helper.make_node
    return model(
        [
            node("MatMul", ["x", "front.w"], ["prepared"]),
            node("Conv", ["prepared", "stem.weight", "stem.bias"], ["stem"], pads=[1, 1, 1, 1]),
            node("Relu", ["stem"], ["seen"]),
            node("Conv", ["seen", "left.weight", "left.bias"], ["left"], pads=[1, 1, 1, 1]),
            node("Conv", ["seen", "right.weight"], ["right"]),
            node("Add", ["left", "right"], ["sum"]),
            node("Relu", ["sum"], ["both"]),
            node("GlobalAveragePool", ["both"], ["pooled"]),
            node("Flatten", ["pooled"], ["flat"]),
            node("Gemm", ["flat", "head.weight", "head.bias"], ["head"]),
            node("Tanh", ["head"], ["y"]),
        ],
        {"x": ("n", 1, 8, 8)},
        front__w=rng.normal(0, 0.5, (8, 8)),
        stem__weight=rng.normal(0, 0.5, (4, 1, 3, 3)),
        stem__bias=rng.normal(0, 0.5, 4),
        left__weight=rng.normal(0, 0.3, (8, 4, 3, 3)),
        left__bias=rng.normal(0, 0.3, 8),
        right__weight=rng.normal(0, 0.3, (8, 4, 1, 1)),
        head__weight=rng.normal(0, 0.3, (8, 6)),
        head__bias=rng.normal(0, 0.3, 6),
    )


def pictures(count: int, seed: int = 1) -> list[dict[str, Floats]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.standard_normal((2, 1, 8, 8), dtype=np.float32)} for _ in range(count)]


def run(made: onnx.ModelProto, feed: dict[str, Floats]) -> Floats:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found: Floats = session.run(["y"], feed)[0]
    return found
