"""The graphs are what every engine and browser can read, and say what torch says."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from dcet.export.graphs import (
    FRONT_END,
    STEP_OUTPUTS,
    ExportError,
    export_graphs,
    step_shapes,
)
from dcet.export.manifest_rows import graph_row
from dcet.quantization import inspect_precision, store_fp16
from dcet.runtime import Bundle
from dcet.synthetic.probes import faces, speech_windows
from dcet.targets.target import GRAPHS
from dcet.training.network.audio_encoder import VOICE_SHAPE
from dcet.training.network.model import State, StepInputs
from dcet.training.saved.checkpoint import MAX_TOKENS, Checkpoint
from tests.tiny_training import TINY, untrained, write_bert

Graphs = dict[str, onnx.ModelProto]
ENGINES = ["onnxruntime", "openvino"]
CONTROL_FLOW = {"If", "Loop", "Scan"}


def shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim)


def ports(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    return [*graph.input, *graph.output]


@pytest.mark.parametrize("id", GRAPHS)
def test_versions_are_those_of_the_target(graphs: Graphs, id: str) -> None:
    assert {(row.domain, row.version) for row in graphs[id].opset_import} == {("", 18)}
    assert graphs[id].ir_version == 10
    assert not graphs[id].functions


@pytest.mark.parametrize("id", GRAPHS)
def test_bytes_are_cast_before_anything_else(graphs: Graphs, id: str) -> None:
    """TensorRT has no other operator for uint8."""
    graph = graphs[id].graph
    pixels = {p.name for p in graph.input if p.type.tensor_type.elem_type == TensorProto.UINT8}
    assert pixels == ({"pixels"} if id == "face" else set())
    assert {node.op_type for node in graph.node if pixels & set(node.input)} <= {"Cast"}


@pytest.mark.parametrize("id", ["audio", "face"])
def test_batch_norms_are_part_of_their_neighbours(graphs: Graphs, id: str) -> None:
    nodes = graphs[id].graph.node
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert len(convolutions) >= 16
    assert all(len(node.input) == 3 for node in convolutions)  # data, weights, bias
    assert "BatchNormalization" not in {node.op_type for node in nodes}


@pytest.mark.parametrize("id", GRAPHS)
def test_onnx_runtime_finds_every_gelu(graphs: Graphs, id: str, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(graphs[id].SerializeToString(), options)
    operators = {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}
    assert operators & {"BiasGelu", "Gelu"}
    assert "Erf" not in operators


def test_a_model_without_senses_has_no_graphs_for_them(tmp_path: Path) -> None:
    model = untrained(write_bert(tmp_path)).model
    assert list(export_graphs(model, 8, 18, 10)) == ["text", "step"]


def test_the_step_is_float32_of_fixed_shapes(graphs: Graphs) -> None:
    step = onnx.shape_inference.infer_shapes(graphs["step"], strict_mode=True).graph
    assert [port.name for port in step.input] == [*StepInputs._fields, *State._fields]
    assert [port.name for port in step.output] == [
        *STEP_OUTPUTS,
        *(f"next_{name}" for name in State._fields),
    ]
    assert {port.type.tensor_type.elem_type for port in ports(step)} == {TensorProto.FLOAT}
    for value in (*ports(step), *step.value_info):
        assert all(isinstance(size, int) and size > 0 for size in shape(value)), value.name


def test_the_step_has_no_control_flow_and_no_int64_but_constants(graphs: Graphs) -> None:
    step = onnx.shape_inference.infer_shapes(graphs["step"], strict_mode=True).graph
    assert not {node.op_type for node in step.node} & (CONTROL_FLOW | {"NonZero", "Shape"})
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
    # A mask of ones and zeros becomes what attention adds: nothing that engines cannot fuse.
    assert not {node.op_type for node in text.node} & {*CONTROL_FLOW, "And", "GatherND", "Where"}


@pytest.mark.parametrize("engine", ENGINES)
def test_tokens_behind_the_mask_do_not_count(bundle: Bundle, engine: str) -> None:
    ids = np.random.default_rng(0).integers(5, 80, (1, 9)).astype(np.int32)
    masked = {"input_ids": ids, "attention_mask": (np.arange(9) < 4).astype(np.int32)[None]}
    alone = {"input_ids": ids[:, :4], "attention_mask": np.ones((1, 4), np.int32)}
    found, expected = (bundle.engine(engine).run("text", each) for each in (masked, alone))
    assert found["features"] == pytest.approx(expected["features"], abs=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
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


def test_audio_and_face_take_any_number(graphs: Graphs) -> None:
    ports_of = {
        id: {port.name: shape(port) for port in ports(graphs[id].graph)} for id in ("audio", "face")
    }
    assert ports_of["audio"] == {
        "pcm": ("windows", 48000),
        "voice": (1, 3, 64),
        "features": ("windows", TINY.audio_width),
        "next_voice": (1, 3, 64),
    }
    assert ports_of["face"] == {
        "pixels": ("faces", "height", "width", 3),
        "features": ("faces", TINY.face_width),
    }


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("windows", [1, 3, 8])
def test_audio_of_every_length_is_what_torch_says(
    bundle: Bundle, saved: Checkpoint, engine: str, windows: int
) -> None:
    assert saved.model.audio is not None
    heard = speech_windows(2 * windows, seed=windows).reshape(2, windows, -1)
    voice = np.zeros((1, *VOICE_SHAPE), np.float32)
    for pcm in heard:  # the second time with a voice that is known
        outputs = bundle.engine(engine).run("audio", {"pcm": pcm, "voice": voice})
        with torch.inference_mode():
            features, following = saved.model.audio(torch.from_numpy(pcm), torch.from_numpy(voice))
        assert outputs["features"] == pytest.approx(features.numpy(), abs=1e-4)
        # Sums over all frames, whose sizes grow with what is heard.
        assert outputs["next_voice"] == pytest.approx(following.numpy(), rel=1e-4, abs=1e-4)
        assert windows == 1 or outputs["features"].std(axis=0).max() > 100 * 1e-4
        voice = outputs["next_voice"]
        assert voice.any()


@pytest.mark.parametrize("engine", ENGINES)
def test_silence_has_features_too(bundle: Bundle, engine: str) -> None:
    voice = np.zeros((1, *VOICE_SHAPE), np.float32)
    silence = np.zeros((1, 48_000), np.float32)
    outputs = bundle.engine(engine).run("audio", {"pcm": silence, "voice": voice})
    assert np.isfinite(outputs["features"]).all()
    assert np.abs(outputs["next_voice"]).max() < 1e-3  # nothing was heard, so nothing is known


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [(96, 96), (48, 48), (31, 57), (400, 300)])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_faces_of_every_size_are_what_torch_says(
    bundle: Bundle, saved: Checkpoint, engine: str, size: tuple[int, int], count: int
) -> None:
    assert saved.model.face is not None
    pixels = faces(count, *size, seed=count)
    features = bundle.engine(engine).run("face", {"pixels": pixels})["features"]
    with torch.inference_mode():
        expected = saved.model.face(torch.from_numpy(pixels)).numpy()
    assert features == pytest.approx(expected, abs=1e-4)
    assert count == 1 or expected.std(axis=0).max() > 100 * 1e-4


def test_fp16_leaves_the_audio_front_end_alone(graphs: Graphs) -> None:
    half = store_fp16(graphs["audio"], keep=FRONT_END)
    kept = {
        tensor.name: tensor.data_type
        for tensor in half.graph.initializer
        if tensor.name.startswith(FRONT_END)
    }
    parts = [
        f"{stage}_{part}" for stage in ("first", "twist", "second") for part in ("real", "imag")
    ]
    names = ("window", *parts, "mels")
    assert kept == {f"log_mel.{name}": TensorProto.FLOAT for name in names}
    assert inspect_precision(half).precision == "fp16"


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
    assert tuple(shapes) == StepInputs._fields
    assert list(shapes.values()) == [shape(port) for port in graphs["step"].graph.input[:10]]


def test_a_graph_of_another_precision_is_refused(graphs: Graphs) -> None:
    with pytest.raises(ExportError, match=r"step\.onnx: the target asks for int8, .* fp32"):
        graph_row(graphs["step"], "step.onnx", "int8")
