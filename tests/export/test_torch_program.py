"""Torch programs made of ONNX graphs give what ONNX Runtime makes of these graphs."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from dcet.export.torch_rungs.program import TorchProgram
from dcet.runtime import Bundle
from dcet.runtime.errors import EngineError

SIZES = {"tokens": 7, "windows": 3, "faces": 2, "height": 70, "width": 61}


def drawn(rng: np.random.Generator, dtype: str, shape: list[int]) -> Any:
    if dtype == "float32":
        return rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    return rng.integers(1, 60 if dtype == "int32" else 256, shape).astype(dtype)


@pytest.mark.parametrize("id", ["text", "audio", "face", "step"])
def test_graphs(cpu: Any, id: str) -> None:
    bundle, rng = Bundle.open(cpu), np.random.default_rng(0)
    graph = bundle.manifest.graphs[id]
    feed = {
        tensor.name: drawn(
            rng, tensor.dtype, [SIZES[d] if isinstance(d, str) else d for d in tensor.shape]
        )
        for tensor in graph.inputs
    }
    if id == "text":
        feed["attention_mask"] = np.array([[1, 1, 1, 1, 1, 0, 0]], np.int32)
    expected = bundle.engine("onnxruntime").run(id, feed)
    program = TorchProgram(onnx.load_from_string(bundle.read(graph.file)))
    with torch.inference_mode():
        got = program(*(torch.from_numpy(feed[tensor.name]) for tensor in graph.inputs))
    for tensor, output in zip(graph.outputs, got, strict=True):
        np.testing.assert_allclose(output.numpy(), expected[tensor.name], atol=1e-5, rtol=1e-5)


def model(nodes: list[onnx.NodeProto], **constants: Any) -> onnx.ModelProto:
    """Of one input x (2, 4), a product with w or not, and one output y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_quantised_products() -> None:
    """Activations by tensor, weights by column."""
    rng = np.random.default_rng(0)
    made = model(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x8"]),
            helper.make_node("DequantizeLinear", ["x8", "scale", "zero"], ["xq"]),
            helper.make_node("DequantizeLinear", ["w8", "scales"], ["w"], axis=1),
            helper.make_node("MatMul", ["xq", "w"], ["y"]),
        ],
        scale=np.float32(0.02),
        zero=np.uint8(100),
        w8=rng.integers(-127, 128, (4, 3), dtype=np.int8),
        scales=np.array([0.01, 0.02, 0.03], np.float32),
    )
    x = rng.uniform(-3, 4, (2, 4)).astype(np.float32)  # beyond what uint8 holds
    session = onnxruntime.InferenceSession(made.SerializeToString())
    (got,) = TorchProgram(made)(torch.from_numpy(x))
    np.testing.assert_allclose(got.numpy(), session.run(["y"], {"x": x})[0], atol=1e-5)


def test_float16_is_computed_in_float16() -> None:
    made = model(
        [
            helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("MatMul", ["half", "w"], ["product"]),
            helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
        ],
        w=np.eye(4, dtype=np.float16),
    )
    x = np.array([[2049, 1e-9, 1, 2], [0, 0, 0, 0]], np.float32)
    (got,) = TorchProgram(made)(torch.from_numpy(x))
    assert got[0].tolist() == [2048, 0, 1, 2]


def test_an_unknown_operator_is_named() -> None:
    made = model([helper.make_node("Hardmax", ["x"], ["y"], name="odd")])
    with pytest.raises(EngineError, match=r"graph 'graph', node 'odd': expected .*, got Hardmax"):
        TorchProgram(made)
