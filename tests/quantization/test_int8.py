"""INT8 graphs: what is quantised is what was asked for, or an error says so."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from dcet.quantization import QuantizationError, inspect_precision, quantize_int8, restore
from dcet.quantization import int8 as module
from dcet.quantization.layers import residual_sums, weighted_layers
from tests.quantization.tiny_graphs import LAYERS, model, pictures, run, sees

FLOAT = sees()
BATCHES = pictures(16)
FRONT = ("prepared",)  # the node that multiplies front.w
BOTH = pytest.mark.parametrize("quantizer", ["nncf", "onnxruntime"])


def quantised(quantizer: str, *, symmetric: bool = True) -> onnx.ModelProto:
    return quantize_int8(
        FLOAT,
        BATCHES,
        quantizer=quantizer,  # type: ignore[arg-type]
        keep=FRONT,
        symmetric=symmetric,
    )


def readers_of_int8(made: onnx.ModelProto) -> set[str]:
    outputs = {n.output[0] for n in made.graph.node if n.op_type == "DequantizeLinear"}
    return {node.name for node in made.graph.node if outputs & set(node.input)}


def zero_points(made: onnx.ModelProto) -> list[np.ndarray]:
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    kinds = ("QuantizeLinear", "DequantizeLinear")
    return [constants[node.input[2]] for node in made.graph.node if node.op_type in kinds]


@BOTH
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_layers_and_residual_sums_are_quantised_and_nothing_else(
    quantizer: str, symmetric: bool
) -> None:
    made = quantised(quantizer, symmetric=symmetric)
    onnx.checker.check_model(made, full_check=True)
    assert [(row.domain, row.version) for row in made.opset_import] == [("", 18)]
    assert made.ir_version == 10
    assert readers_of_int8(made) <= {*LAYERS, "sum"}
    assert readers_of_int8(made) >= set(LAYERS)
    found = inspect_precision(made)
    assert (found.precision, found.arithmetic) == ("int8", "int8")
    assert [layer.title for layer in weighted_layers(made)] == ["front"]  # whose weight is float
    for batch in pictures(4, seed=2):
        expected = run(FLOAT, batch)
        assert 0 < np.abs(run(made, batch) - expected).max() < 0.1 * np.abs(expected).max()


@BOTH
def test_symmetric_is_what_tensorrt_reads(quantizer: str) -> None:
    points = zero_points(quantised(quantizer))
    assert {point.dtype for point in points} == {np.dtype(np.int8)}
    assert not any(point.any() for point in points)


@BOTH
def test_asymmetric_activations_are_uint8(quantizer: str) -> None:
    made = quantised(quantizer, symmetric=False)
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    of_activations = {
        constants[node.input[2]].dtype
        for node in made.graph.node
        if node.op_type == "QuantizeLinear"
    }
    assert of_activations == {np.dtype(np.uint8)}


@BOTH
def test_each_channel_of_a_weight_has_its_scale(quantizer: str) -> None:
    made = quantised(quantizer)
    constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    scales = {
        node.output[0]: constants[node.input[1]].size
        for node in made.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }
    channels = {"stem": 4, "left": 8, "right": 8, "head": 6}
    for node in made.graph.node:
        if node.name in channels:
            assert scales[node.input[1]] == channels[node.name]


@BOTH
def test_restored_layers_compute_what_they_did(quantizer: str) -> None:
    made = quantised(quantizer)
    everything = restore(made, FLOAT, LAYERS)
    assert not readers_of_int8(everything)
    assert len(everything.graph.node) == len(FLOAT.graph.node)
    batch = pictures(1, seed=3)[0]
    assert run(everything, batch) == pytest.approx(run(FLOAT, batch), abs=1e-6)
    one = restore(made, FLOAT, ["left"])
    onnx.checker.check_model(one, full_check=True)
    assert readers_of_int8(one) == {"stem", "right", "head"}  # the sum has lost its int8 branch
    assert inspect_precision(one).qdq_count < inspect_precision(made).qdq_count


def test_titles_are_those_of_the_checkpoint() -> None:
    node = helper.make_node
    product = model(
        [node("MatMul", ["x", "val_7"], ["product"]), node("Add", ["product", "a.b.bias"], ["y"])],
        {"x": (2, 3)},
        val_7=np.ones((3, 4)),
        a__b__bias=np.ones(4),
    )
    assert [(layer.node, layer.title) for layer in weighted_layers(product)] == [("product", "a.b")]
    assert [layer.title for layer in weighted_layers(FLOAT, keep=("front.",))] == list(LAYERS)
    assert residual_sums(FLOAT, weighted_layers(FLOAT)) == ("sum",)
    assert residual_sums(FLOAT, weighted_layers(FLOAT, keep=("left.",))) == ()


def test_the_float_graph_is_left_as_it_is() -> None:
    assert sees() == FLOAT


def test_no_batch_is_an_error() -> None:
    with pytest.raises(QuantizationError, match=r"graph 'tiny': .*got none; give a calibration"):
        quantize_int8(FLOAT, [])


def test_a_batch_that_is_not_finite_is_named() -> None:
    batches = pictures(3)
    batches[2]["x"][0, 0, 1, 1] = np.nan
    with pytest.raises(QuantizationError, match=r"batch 2: x: expected finite numbers"):
        quantize_int8(FLOAT, batches)


def test_nothing_left_to_quantise_is_an_error() -> None:
    with pytest.raises(QuantizationError, match="keep fewer of them, or export this graph as fp16"):
        quantize_int8(FLOAT, BATCHES, keep=[layer.node for layer in weighted_layers(FLOAT)])


def test_a_quantiser_that_quantises_nothing_is_never_a_silent_fp32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(module._QUANTIZERS, "onnxruntime", lambda made, *_: made)
    with pytest.raises(QuantizationError, match=r"onnxruntime quantised none of its 5 layers; try"):
        quantize_int8(FLOAT, BATCHES, quantizer="onnxruntime")


@BOTH
def test_a_quantiser_says_nothing(
    quantizer: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    quantised(quantizer)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]
