"""The graphs are what every engine and browser can read, and say what torch says."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from dcet.export.graphs import STEP_INPUTS, STEP_OUTPUTS, ExportError, graph_row, step_shapes
from dcet.runtime import Bundle
from dcet.training.checkpoint import MAX_TOKENS, Checkpoint
from dcet.training.model import State

Graphs = dict[str, onnx.ModelProto]


def shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim)


def ports(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    return [*graph.input, *graph.output]


@pytest.mark.parametrize("id", ["text", "step"])
def test_versions_are_those_of_the_target(graphs: Graphs, id: str) -> None:
    assert {(row.domain, row.version) for row in graphs[id].opset_import} == {("", 18)}
    assert graphs[id].ir_version == 10
    assert not graphs[id].functions


def test_the_step_is_float32_of_fixed_shapes(graphs: Graphs) -> None:
    step = onnx.shape_inference.infer_shapes(graphs["step"], strict_mode=True).graph
    assert [port.name for port in step.input] == [*STEP_INPUTS, *State._fields]
    assert [port.name for port in step.output] == [
        *STEP_OUTPUTS,
        *(f"next_{name}" for name in State._fields),
    ]
    assert {port.type.tensor_type.elem_type for port in ports(step)} == {TensorProto.FLOAT}
    for value in (*ports(step), *step.value_info):
        assert all(isinstance(size, int) and size > 0 for size in shape(value)), value.name


def test_the_step_has_no_control_flow_and_no_int64_but_constants(graphs: Graphs) -> None:
    step = onnx.shape_inference.infer_shapes(graphs["step"], strict_mode=True).graph
    assert not {node.op_type for node in step.node} & {"If", "Loop", "Scan", "NonZero", "Shape"}
    constants = {tensor.name for tensor in step.initializer}
    computed = [value for value in step.value_info if value.name not in constants]
    assert computed
    assert {value.type.tensor_type.elem_type for value in computed} == {TensorProto.FLOAT}


def test_text_takes_int32_tokens_of_any_number(graphs: Graphs) -> None:
    text = graphs["text"].graph
    assert [port.name for port in text.input] == ["input_ids", "attention_mask"]
    assert {port.type.tensor_type.elem_type for port in text.input} == {TensorProto.INT32}
    assert [shape(port) for port in ports(text)] == [(1, "tokens"), (1, "tokens"), (1, 24)]
    assert text.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert not {node.op_type for node in text.node} & {"If", "Loop", "Scan"}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("tokens", [1, 2, 3, MAX_TOKENS])
def test_text_of_every_length_is_what_torch_says(
    bundle: Bundle, saved: Checkpoint, engine: str, tokens: int
) -> None:
    assert bundle.manifest.tokenizer.max_tokens == MAX_TOKENS
    ids = np.random.default_rng(tokens).integers(5, 80, (1, tokens)).astype(np.int32)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    features = bundle.engine(engine).run("text", inputs)["features"]
    with torch.inference_mode():
        expected = saved.model.text(torch.from_numpy(ids), torch.ones(1, tokens))
    assert features == pytest.approx(expected.numpy(), abs=1e-4)


def test_the_manifest_describes_what_is_in_the_file(bundle: Bundle) -> None:
    for row in bundle.manifest.graphs.values():
        graph = onnx.load_from_string(bundle.read(row.file)).graph
        assert [(t.name, t.shape) for t in row.inputs] == [(p.name, shape(p)) for p in graph.input]
        assert [(t.name, t.shape) for t in row.outputs] == [
            (p.name, shape(p)) for p in graph.output
        ]
        assert (row.opset, row.ir_version, row.precision, row.qdq_count) == (18, 10, "fp32", 0)


def test_step_shapes_are_the_graphs(graphs: Graphs, saved: Checkpoint) -> None:
    shapes = step_shapes(saved.model.config)
    assert tuple(shapes) == STEP_INPUTS
    assert list(shapes.values()) == [shape(port) for port in graphs["step"].graph.input[:10]]


def test_a_graph_of_another_precision_is_refused(graphs: Graphs) -> None:
    with pytest.raises(ExportError, match=r"step\.onnx: the target asks for int8, .* fp32"):
        graph_row(graphs["step"], "step.onnx", "int8")
