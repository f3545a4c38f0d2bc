"""FP16 arithmetic: layers compute in float16, and what must not, does not."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dcet.quantization import compute_fp16, inspect_precision
from tests.quantization.tiny_graphs import model, pictures, run, sees


def types(made: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(made, strict_mode=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def test_layers_compute_in_float16_and_preparation_in_float32() -> None:
    made = compute_fp16(sees(), keep=("front.",))
    found = inspect_precision(made)
    assert (found.precision, found.arithmetic) == ("fp16", "fp16")
    kinds, outputs = types(made), {node.name: node.output[0] for node in made.graph.node}
    for name in ("stem", "seen", "left", "right", "sum", "both", "head"):
        assert kinds[outputs[name]] == TensorProto.FLOAT16, name
    for name in ("prepared", "pooled"):  # preparation, and a mean
        assert kinds[outputs[name]] == TensorProto.FLOAT, name
    ports = (*made.graph.input, *made.graph.output)
    assert {port.type.tensor_type.elem_type for port in ports} == {TensorProto.FLOAT}
    for batch in pictures(3):
        assert run(made, batch) == pytest.approx(run(sees(), batch), abs=2e-3)


def test_nothing_is_cast_there_and_back() -> None:
    made = compute_fp16(sees(), keep=("front.",))
    casts = [node for node in made.graph.node if node.op_type == "Cast"]
    assert len(casts) == 4  # into the stem, around the mean, and out
    assert not {node.input[0] for node in casts} & {node.output[0] for node in casts}


def test_constants_beyond_float16_become_its_largest() -> None:
    node = helper.make_node
    masked = model(
        [node("MatMul", ["x", "w"], ["product"]), node("Add", ["product", "mask"], ["y"])],
        {"x": (2, 3)},
        w=np.ones((3, 4)),
        mask=np.array([0, 0, 0, -3e38]),
    )
    found = run(compute_fp16(masked), {"x": np.ones((2, 3), np.float32)})
    assert found[0] == pytest.approx([3, 3, 3, -65504], rel=1e-4)  # engines may add in float32


def test_the_float_graph_is_left_as_it_is() -> None:
    graph = sees()
    compute_fp16(graph)
    assert graph == sees()
