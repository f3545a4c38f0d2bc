"""The rows of a manifest that describe the model: its graphs, states and modalities."""

from collections.abc import Sequence
from typing import Literal

import onnx

from dcet.export.graphs import STATE_OUTPUTS, ExportError
from dcet.quantization.inspect import inspect_precision
from dcet.quantization.tensor_rows import tensor_row
from dcet.runtime.arrays import HOP_SAMPLES, SAMPLE_RATE_HZ, WINDOW_SAMPLES
from dcet.runtime.bundle.manifest import Graph, Modality, OpenvinoFiles, Speech, StatePair
from dcet.training.network.audio_encoder import VOICE_SHAPE
from dcet.training.network.model import SPEAKER_STATES, Dcet, initial_state


def graph_row(
    model: onnx.ModelProto, file: str, precision: str, openvino: OpenvinoFiles | None = None
) -> Graph:
    """Describe a graph. Raises ExportError unless it is in `precision`."""
    found = inspect_precision(model)
    if found.precision != precision:
        raise ExportError(
            f"{file}: the target asks for {precision}, the graph came out {found.precision}"
        )
    return Graph(
        file=file,
        precision=found.precision,
        arithmetic=found.arithmetic,
        opset=next(row.version for row in model.opset_import if row.domain == ""),
        ir_version=model.ir_version,
        qdq_count=found.qdq_count,
        inputs=tuple(tensor_row(value) for value in model.graph.input),
        outputs=tuple(tensor_row(value) for value in model.graph.output),
        openvino=openvino,
    )


def state_pairs(model: Dcet) -> tuple[StatePair, ...]:
    """List the states of the step, then the voice that an audio encoder knows a speaker by."""
    pairs = tuple(
        StatePair(
            input=name,
            output=STATE_OUTPUTS[name],
            shape=tuple(value.shape),
            dtype="float32",
            per=state_owner(name),
        )
        for name, value in initial_state(model.config)._asdict().items()
    )
    if model.audio is None:
        return pairs
    voice = StatePair(
        input="voice",
        output="next_voice",
        shape=(1, *VOICE_SHAPE),
        dtype="float32",
        per="speaker",
        graph="audio",
    )
    return (*pairs, voice)


def speech_row(model: Dcet) -> Speech | None:
    """Describe the graph that tells where a voice sounds, where the model has it."""
    if model.speech is None:
        return None
    return Speech(
        graph="speech",
        input="speech_state",
        output="next_speech_state",
        hop_samples=HOP_SAMPLES,
        threshold=model.speech.config.threshold,
        least_ms=model.speech.config.least_ms,
    )


def state_owner(name: str) -> Literal["speaker", "scene"]:
    """Tell whose a state of the step is."""
    return "speaker" if name in SPEAKER_STATES else "scene"


def modalities(model: Dcet, trained: Sequence[str]) -> dict[str, Modality]:
    """Describe how each modality enters the step, in the order of `modality_mask`."""
    config = model.config
    has_audio = model.audio is not None
    return {
        "text": Modality(
            input="text", width=config.text_width, encoder="text", trained="text" in trained
        ),
        "audio": Modality(
            input="audio",
            width=config.audio_width,
            length=config.audio_length,
            mask="audio_mask",
            encoder="audio" if has_audio else None,
            trained="audio" in trained,
            sample_rate_hz=SAMPLE_RATE_HZ if has_audio else None,
            window_samples=WINDOW_SAMPLES if has_audio else None,
        ),
        "face": Modality(
            input="face",
            width=config.face_width,
            length=config.face_length,
            mask="face_mask",
            encoder=None if model.face is None else "face",
            trained="face" in trained,
        ),
    }
