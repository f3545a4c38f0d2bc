"""FP16 weights: half the bytes, the same function but for the rounding."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dcet.quantization import PrecisionError, inspect_precision, store_fp16

RNG = np.random.default_rng(0)
LARGE = RNG.standard_normal((64, 32), dtype=np.float32)
SMALL = RNG.standard_normal(32, dtype=np.float32)
X = RNG.standard_normal((5, 64), dtype=np.float32)


def affine(weight: NDArray[np.float32] = LARGE) -> onnx.ModelProto:
    """y = x w + b, and z = x w, so that the weight is used twice."""
    nodes = [
        helper.make_node("Gemm", ["x", "front.w", "b"], ["y"]),
        helper.make_node("MatMul", ["x", "front.w"], ["z"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "affine",
        [value("x", TensorProto.FLOAT, ("rows", 64))],
        [value(name, TensorProto.FLOAT, ("rows", 32)) for name in ("y", "z")],
        [numpy_helper.from_array(weight, "front.w"), numpy_helper.from_array(SMALL, "b")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(model: onnx.ModelProto) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: list[NDArray[np.float32]] = session.run(["y", "z"], {"x": X})
    return found


def test_large_weights_are_rounded_and_the_rest_is_not() -> None:
    single = affine()
    half = store_fp16(single)
    onnx.checker.check_model(half, full_check=True)
    stored = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert stored == {"front.w.fp16": TensorProto.FLOAT16, "b": TensorProto.FLOAT}
    rounded = LARGE.astype(np.float16).astype(np.float32)
    assert (rounded != LARGE).any()
    y, z = run(half)
    assert y == pytest.approx(X @ rounded + SMALL, abs=1e-5)
    assert z == pytest.approx(X @ rounded, abs=1e-5)
    assert run(single)[1] == pytest.approx(X @ LARGE, abs=1e-5)  # it was left as it is


def test_what_a_graph_says_of_itself_is_true() -> None:
    single, half = inspect_precision(affine()), inspect_precision(store_fp16(affine()))
    assert (single.precision, single.arithmetic) == ("fp32", "fp32")
    assert (half.precision, half.arithmetic) == ("fp16", "fp32")
    assert single.weight_bytes - half.weight_bytes == LARGE.nbytes // 2


def test_weights_can_be_kept() -> None:
    assert store_fp16(affine(), keep=("front.",)) == affine()
    assert store_fp16(affine(), keep=("back.",)) != affine()


@pytest.mark.parametrize("wrong", [1e5, np.inf, np.nan])
def test_a_weight_that_does_not_fit_is_named(wrong: float) -> None:
    weight = LARGE.copy()
    weight[3, 4] = wrong
    with pytest.raises(PrecisionError, match=r"front\.w: expected .* up to 65504, got .*fp32"):
        store_fp16(affine(weight))
