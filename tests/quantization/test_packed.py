"""INT8 storage: a quarter of the bytes, the same weights."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dcet.export.graphs import store_in
from dcet.quantization import inspect_precision, store_packed
from dcet.training.saved import weights

RNG = np.random.default_rng(0)
FINE = RNG.standard_normal((64, 48), dtype=np.float32)
IDS = np.array([[3, 7, 63], [0, -1, 3]])
Matrix = NDArray[np.float32]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    """A matrix as a packed checkpoint gives it back; a row of zeros and a tiny one among it."""
    monkeypatch.setattr(weights, "PACKED_FROM", FINE.size)
    layer = torch.nn.Linear(48, 64, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(FINE))
        layer.weight[7] = 0
        layer.weight[8] *= 1e-7
    weights.save_weights(layer, tmp_path / "model.safetensors", packed=True)
    return weights.load_weights(tmp_path / "model.safetensors")["weight"].numpy()


def text(table: Matrix, weight: Matrix) -> onnx.ModelProto:
    """said = table[ids] weight"""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("MatMul", ["words", "weight"], ["said"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "text",
        [value("ids", TensorProto.INT64, IDS.shape)],
        [value("said", TensorProto.FLOAT, ("batch", "tokens", "width"))],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def say(model: onnx.ModelProto) -> Matrix:
    (said,) = onnxruntime.InferenceSession(model.SerializeToString()).run(["said"], {"ids": IDS})
    return np.asarray(said)


def test_what_was_packed_is_stored_in_int8_and_says_the_same(rows: Matrix) -> None:
    """Rows of embeddings, and the columns of a layer, which a graph holds transposed."""
    whole = text(rows, rows.T.copy())
    packed = store_packed(whole)
    onnx.checker.check_model(packed, full_check=True)
    stored = {tensor.name: tensor.data_type for tensor in packed.graph.initializer}
    assert stored == {
        "table.int8": TensorProto.INT8,
        "row_scale.table": TensorProto.FLOAT,
        "weight.int8": TensorProto.INT8,
        "row_scale.weight": TensorProto.FLOAT,
    }
    assert inspect_precision(packed).weight_bytes == 2 * (rows.size + 4 * len(rows))
    np.testing.assert_allclose(say(packed), say(whole), rtol=1e-5)
    assert whole == text(rows, rows.T.copy())  # it was left as it is


def test_finer_small_and_kept_weights_stay(rows: Matrix) -> None:
    fine = text(FINE, FINE.T.copy())
    assert store_packed(fine) == fine
    kept = store_packed(text(rows, FINE.T.copy()), keep=("table",))
    assert kept == text(rows, FINE.T.copy())
    small = text(rows[:16], rows[:16].T.copy())
    assert store_packed(small) == small


def test_scales_are_not_rounded_to_fp16(rows: Matrix) -> None:
    """A row may be so small that FP16 holds its scale badly, or as nothing."""
    many = np.tile(rows, (32, 1))  # of so many rows that their scales are worth halving
    whole = text(many, FINE.T.copy())
    stored = store_in(whole, "int8", packed=True)
    types = {tensor.name: tensor.data_type for tensor in stored.graph.initializer}
    assert types == {
        "table.int8": TensorProto.INT8,
        "row_scale.table": TensorProto.FLOAT,
        "weight.fp16": TensorProto.FLOAT16,
    }
    assert "table.int8" not in {t.name for t in store_in(whole, "int8").graph.initializer}
    assert "table.int8" not in {
        t.name for t in store_in(whole, "fp16", packed=True).graph.initializer
    }
