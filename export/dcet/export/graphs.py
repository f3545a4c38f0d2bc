"""Torch modules traced to ONNX that TensorRT 10.3, ONNX Runtime, ORT-web and OpenVINO read."""

import logging
import warnings
from inspect import Parameter, Signature
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from dcet.export.folding import fold_norms, fold_senses
from dcet.quantization.arithmetic import compute_fp16
from dcet.quantization.fp16 import store_fp16
from dcet.quantization.packed import ROW_SCALE, store_packed
from dcet.quantization.pruning import prune
from dcet.runtime.arrays import FACE_PIXELS, HOP_SAMPLES, WINDOW_SAMPLES
from dcet.runtime.errors import DcetError
from dcet.training.network.audio_encoder import VOICE_SHAPE, AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.model import (
    Dcet,
    ModelConfig,
    State,
    Step,
    StepInputs,
    TextEncoder,
    initial_state,
)
from dcet.training.network.speech_detector import SpeechDetector

STATE_OUTPUTS = {name: f"next_{name}" for name in State._fields}
STEP_OUTPUTS = (
    "probabilities",
    "sentiment",
    "shift",
    "modality_weights",
    "confidence",
    "familiarity",
)
UNSEEN = 10_000.0  # exp(-10000) is 0, and float16 holds it
# Constants of the audio front end. What is quiet is a small difference of their large products:
# rounding them would move it by up to 0.2 dB, to save 0.15 MB.
FRONT_END = ("log_mel.",)
# The first and the last layers of the audio and the face encoder, which have a hundredth of the
# weights and cost the most in int8: with all of them in int8, probabilities of the golden sequences
# move up to twice as far.
ENDS = ("attention.", "features.", "overall.", "stem.")
# Where zero points must be 0, what is never negative has seven bits. With the first half of the
# layers in float too, a tenth of the weights, the golden sequences move by 0.04 at most on every
# engine; they round differently, so room is needed.
NEXT_TO_ENDS = ("stages.0.", "stages.1.", "stages.2.")


class ExportError(DcetError, RuntimeError):
    """An export did not pass its own checks; nothing was written."""


class TextGraph(nn.Module):
    """The text encoder with int32 inputs, which every engine and browser has.

    Its mask is what attention adds to its scores: what transformers makes of a mask of ones and
    zeros is a dozen operators on int64 and bool, between which no engine finds the attention.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.float()
        added = (mask - 1)[:, None, None, :] * UNSEEN
        hidden = self.encoder.hidden(input_ids, added)
        weights = mask[..., None]
        features: Tensor = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return features


class StepGraph(Step):
    """The step with one argument for each tensor: torch.export fails on named tuples in which one
    name begins another, as `audio` does `audio_mask`."""

    def __init__(self, step: Step) -> None:
        nn.Module.__init__(self)  # its parts are those of `step`, under the same names
        for name, part in step.named_children():
            self.add_module(name, part)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        count = len(StepInputs._fields)
        return super().forward(StepInputs(*tensors[:count]), State(*tensors[count:]))

    # torch.export names what it traces after these.
    forward.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            *(Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in ("self", *StepInputs._fields)),
            Parameter("state", Parameter.VAR_POSITIONAL),
        ]
    )


def store_in(
    graph: onnx.ModelProto, precision: str, arithmetic: str = "fp32", *, packed: bool = False
) -> onnx.ModelProto:
    """Return the graph with its weights in `precision`; an int8 graph must be quantised already,
    and what is float in it is stored as FP16.

    arithmetic: in what an fp16 graph computes
    packed: store in INT8 what is float in an int8 graph and no finer, as in a packed checkpoint
    """
    if precision == "fp32":
        return graph
    if precision == "int8" and packed:
        graph = store_packed(graph, keep=FRONT_END)
    if precision == "fp16" and arithmetic == "fp16":
        graph = compute_fp16(graph, keep=FRONT_END)
    return store_fp16(graph, keep=(*FRONT_END, ROW_SCALE))


def export_graphs(
    model: Dcet, max_tokens: int, opset: int, ir_version: int
) -> dict[str, onnx.ModelProto]:
    """Trace every graph of a model, by its id; none for an encoder that the model lacks."""
    graphs = {"text": export_text(model.text, max_tokens, opset, ir_version)}
    if model.audio is not None:
        graphs["audio"] = export_audio(model.audio, opset, ir_version)
    if model.face is not None:
        graphs["face"] = export_face(model.face, opset, ir_version)
    if model.speech is not None:
        graphs["speech"] = export_speech(model.speech, opset, ir_version)
    graphs["step"] = export_step(model.step, opset, ir_version)
    for id, graph in graphs.items():
        graph.graph.name = id  # in messages
    return graphs


def step_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every input of the step but the states, in their order."""
    return {
        "text": (1, config.text_width),
        "audio": (1, config.audio_length, config.audio_width),
        "audio_mask": (1, config.audio_length),
        "face": (1, config.face_length, config.face_width),
        "face_mask": (1, config.face_length),
        "modality_mask": (1, 3),
        "quality": (1, 3),
        "episodes": (1, config.episodes, config.width),
        "episodes_mask": (1, config.episodes),
        "speaker": (1, 1),
    }


def export_step(step: Step, opset: int, ir_version: int) -> onnx.ModelProto:
    """Trace one turn as a graph of float32 inputs and fixed shapes."""
    inputs = (torch.ones(shape) for shape in step_shapes(step.config).values())
    return trace(
        StepGraph(fold_senses(step)),
        (*inputs, *initial_state(step.config)),
        [*StepInputs._fields, *State._fields],
        [*STEP_OUTPUTS, *STATE_OUTPUTS.values()],
        opset,
        ir_version,
    )


def export_text(
    encoder: TextEncoder, max_tokens: int, opset: int, ir_version: int
) -> onnx.ModelProto:
    """Trace token ids of any length up to `max_tokens` to text features."""
    ids = torch.ones(1, 8, dtype=torch.int32)
    tokens = {1: torch.export.Dim("tokens", min=2, max=max_tokens)}
    return trace(
        TextGraph(encoder),
        (ids, torch.ones_like(ids)),
        ["input_ids", "attention_mask"],
        ["features"],
        opset,
        ir_version,
        dynamic_shapes=(tokens, tokens),
    )


def export_audio(encoder: AudioEncoder, opset: int, ir_version: int) -> onnx.ModelProto:
    """Trace any number of windows of PCM and a speaker's voice to features and the next voice."""
    return trace(
        fold_norms(encoder),
        (torch.zeros(2, WINDOW_SAMPLES), torch.zeros(1, *VOICE_SHAPE)),
        ["pcm", "voice"],
        ["features", "next_voice"],
        opset,
        ir_version,
        dynamic_shapes=({0: torch.export.Dim("windows", min=1)}, {}),
    )


def export_face(encoder: FaceEncoder, opset: int, ir_version: int) -> onnx.ModelProto:
    """Trace any number of RGB pictures of any one size to features."""
    sizes = {0: ("faces", 1), 1: ("height", 2), 2: ("width", 2)}
    return trace(
        encoder,
        (torch.zeros(2, FACE_PIXELS + 1, FACE_PIXELS + 2, 3, dtype=torch.uint8),),
        ["pixels"],
        ["features"],
        opset,
        ir_version,
        dynamic_shapes=(
            {axis: torch.export.Dim(name, min=least) for axis, (name, least) in sizes.items()},
        ),
    )


def export_speech(detector: SpeechDetector, opset: int, ir_version: int) -> onnx.ModelProto:
    """Trace any number of hops and the state to the probability of a voice in each, and the next
    state."""
    hops = torch.export.Dim("hops", min=1)
    graph = trace(
        detector,
        (torch.zeros(1, 3 * HOP_SAMPLES), torch.zeros(1, detector.state_size)),
        ["pcm", "speech_state"],
        ["speech", "next_speech_state"],
        opset,
        ir_version,
        dynamic_shapes=({1: HOP_SAMPLES * hops}, {}),
    )
    for port, size in ((graph.graph.input[0], "samples"), (graph.graph.output[0], "hops")):
        port.type.tensor_type.shape.dim[1].dim_param = size
    return graph


def trace(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: list[str],
    output_names: list[str],
    opset: int,
    ir_version: int,
    dynamic_shapes: tuple[Any, ...] | None = None,
) -> onnx.ModelProto:
    """Return a module as ONNX with its weights inside, and nothing of the exporting machine."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations; what went wrong is raised
        program = torch.onnx.export(
            module.eval(),
            inputs,
            input_names=input_names,
            output_names=output_names,
            opset_version=opset,
            dynamic_shapes=dynamic_shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        assert program is not None
    model: onnx.ModelProto = program.model_proto
    model.ir_version = min(model.ir_version, ir_version)
    _drop_notes(model.graph)
    _cast_bytes_first(model.graph)
    _leave_last_size(model.graph)
    _halve_gelu_last(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model


def _cast_bytes_first(graph: onnx.GraphProto) -> None:
    """Let nothing but a Cast read an input of uint8, as TensorRT can do nothing else with one."""
    of_bytes = {
        port.name for port in graph.input if port.type.tensor_type.elem_type == TensorProto.UINT8
    }
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in of_bytes]
    names = {cast.input[0]: cast.output[0] for cast in casts}
    others = [node for node in graph.node if node not in casts]
    for node in others:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
    nodes = [*casts, *others]
    del graph.node[:]
    graph.node.extend(nodes)


def _leave_last_size(graph: onnx.GraphProto) -> None:
    """Let Reshape find a last size that is computed, where the rest of the shape is the tensor's
    own: ONNX Runtime Web computes it wrongly on WebGPU."""
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        shape = made_by.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or shape.op_type != "Concat":
            continue
        *first, _ = shape.input
        if all(_is_size(made_by.get(name), node.input[0], i) for i, name in enumerate(first)):
            sizes = np.array([*[0] * len(first), -1])
            graph.initializer.append(numpy_helper.from_array(sizes, f"{node.name}_shape"))
            node.input[1] = f"{node.name}_shape"
            del node.attribute[:]  # a size of 0 is then the tensor's own
    prune(graph)


def _halve_gelu_last(graph: onnx.GraphProto) -> None:
    """Turn x * (0.5 * (1 + erf)) into (x * (1 + erf)) * 0.5, which is the same bit for bit and the
    order in which ONNX Runtime recognises a GELU: one operator for five."""
    made_by = {name: node for node in graph.node for name in node.output}

    def kind(name: str) -> str | None:
        return made_by[name].op_type if name in made_by else None

    for last in graph.node:
        if last.op_type != "Mul" or kind(last.input[1]) != "Mul":
            continue
        x, halved = last.input
        first = made_by[halved]
        half, one_and_erf = first.input
        if kind(one_and_erf) == "Add" and kind(made_by[one_and_erf].input[0]) == "Erf":
            first.input[0] = x
            last.input[:] = [halved, half]


def _is_size(node: onnx.NodeProto | None, tensor: str, place: int) -> bool:
    if node is None or (node.op_type, *node.input) != ("Shape", tensor):
        return False
    return {row.name: row.i for row in node.attribute} == {"start": place, "end": place + 1}


def _drop_notes(graph: onnx.GraphProto) -> None:
    """Remove the notes on where each node came from, which hold paths of this machine."""
    for part in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
