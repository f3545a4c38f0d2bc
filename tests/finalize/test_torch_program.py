"""Torch programs made of ONNX graphs give what ONNX Runtime makes of these graphs."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from dcet.finalize.torch.program import TorchProgram
from dcet.finalize.torch.programs import export_program
from dcet.runtime import Bundle
from dcet.runtime.bundle.manifest import Graph
from dcet.runtime.engines.fixed_shapes import FixedShapes
from dcet.runtime.errors import EngineError

# One of each that a graph is compiled for; of pictures, any.
SIZES = {
    "tokens": (7, 40),
    "windows": (1, 3),
    "faces": (2, 1),
    "height": (70, 95),
    "width": (61, 121),
    "samples": (512, 48_128),  # as compiled: padding would change the state of the stream
}


def drawn(rng: np.random.Generator, dtype: str, shape: list[int]) -> Any:
    if dtype == "float32":
        return rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    return rng.integers(1, 60 if dtype == "int32" else 256, shape).astype(dtype)


@pytest.mark.parametrize("id", ["text", "audio", "face", "speech", "step"])
def test_graphs(cpu: Any, id: str) -> None:
    """Graphs run as they are, and exported as for a compiler, which sees no value of any input."""
    bundle = Bundle.open(cpu)
    graph = bundle.manifest.graphs[id]
    module = TorchProgram(onnx.load_from_string(bundle.read(graph.file)))
    shapes = FixedShapes(bundle.manifest, scales_faces=False)
    exported = [
        export_program(module, graph, shapes.shapes(id, sizes), "cpu").program.module()
        for sizes in shapes.sizes(id)
    ]
    for change in (0, 1):
        feed = inputs_of(graph, change)
        expected = bundle.engine("onnxruntime").run(id, feed)
        fitted = shapes.fit(id, feed)
        for program, given in ((module, feed), (exported[fitted.choice], fitted.inputs)):
            with torch.inference_mode():
                made = program(*(torch.from_numpy(given[tensor.name]) for tensor in graph.inputs))
            by_name = {t.name: x.numpy() for t, x in zip(graph.outputs, made, strict=True)}
            got = shapes.cut(id, by_name, fitted.sizes)
            for name, value in expected.items():
                np.testing.assert_allclose(got[name], value, atol=1e-5, rtol=1e-5)


def inputs_of(graph: Graph, change: int) -> dict[str, Any]:
    """Any, of other sizes with every `change`."""
    rng = np.random.default_rng(change)
    feed = {
        tensor.name: drawn(
            rng,
            tensor.dtype,
            [SIZES[d][change] if isinstance(d, str) else d for d in tensor.shape],
        )
        for tensor in graph.inputs
    }
    if "attention_mask" in feed:
        feed["attention_mask"] = np.ones_like(feed["input_ids"])
        feed["attention_mask"][:, 5:] = 0
    return feed


def model(nodes: list[onnx.NodeProto], **constants: Any) -> onnx.ModelProto:
    """Make a graph of one input x (2, 4), with or without a product with w, and one output y."""
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
