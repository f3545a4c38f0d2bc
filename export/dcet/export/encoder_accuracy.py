"""Accuracy of the audio and the face encoder, in float and in int8, on their own corpora."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from onnx.utils import Extractor
from torch import Tensor

from dcet.quantization.session import open_session
from dcet.runtime.bundle.manifest import CorpusCost
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.registry import NEVER_THERE
from dcet.training.corpora.speech import earlier_voice, read_speech
from dcet.training.encoders.judging import emotion_figures
from dcet.training.network.model import Dcet

SPLIT = "dev"
FACES_AT_ONCE = 64

Features = Callable[[ModelProto], NDArray[np.float32]]  # (n, width) of all items of a corpus


def encoder_accuracy(
    model: Dcet,
    floats: Mapping[str, ModelProto],
    int8: Mapping[str, ModelProto],
    data: Path,
    progress: Callable[[str], None],
) -> dict[str, CorpusCost]:
    """Measure the encoders' graphs in float and in int8, under the checkpoint's own heads.

    data: holds `ferplus`, `crema_d` and `ravdess`

    A voice is known by what the same speaker said in earlier clips. CREMA-D is log-mels, so its
    clips enter the graph behind the front end, which is float in both.

    Raises DataError.
    """
    found = {}
    for corpus, id, emotion, features in _corpora(data):
        encoder = model.face if id == "face" else model.audio
        if encoder is None or id not in int8:
            continue
        progress(f"{corpus} in float and in int8")
        accuracies = []
        for graph in (floats[id], int8[id]):
            with torch.inference_mode():
                logits = encoder.head(torch.from_numpy(features(graph)))
            figures = emotion_figures(logits, emotion, NEVER_THERE.get(corpus, ()))
            accuracies.append(figures["accuracy"])
        before, after = accuracies
        found[corpus] = CorpusCost(graph=id, items=len(emotion), before=before, after=after)
    return found


def _corpora(data: Path) -> Iterator[tuple[str, str, Tensor, Features]]:
    """Yield of each corpus its name, graph and labels, and a function from graph to features."""
    faces = read_ferplus(data / "ferplus", SPLIT)
    pixels = faces.grey.numpy()[..., None].repeat(3, axis=-1)
    parts = [{"pixels": part} for part in np.array_split(pixels, -(-len(faces) // FACES_AT_ONCE))]
    yield "ferplus", "face", faces.emotion, lambda graph: _run(graph, parts)

    ravdess = read_speech("ravdess", data / "ravdess", SPLIT)
    assert ravdess.pcm is not None
    heard = [
        {"pcm": pcm[None], "voice": voice[None]}
        for pcm, voice in zip(ravdess.pcm.numpy(), earlier_voice(ravdess).numpy(), strict=True)
    ]
    yield "ravdess", "audio", ravdess.emotion, lambda graph: _run(graph, heard)

    crema_d = read_speech("crema_d", data / "crema_d", SPLIT)
    voices = earlier_voice(crema_d).numpy()

    def from_levels(graph: ModelProto) -> NDArray[np.float32]:
        name = _level(graph)
        inferred = onnx.shape_inference.infer_shapes(graph)
        rest = Extractor(inferred).extract_model([name, "voice"], ["features"])
        levels = zip(crema_d.level.numpy(), voices, strict=True)
        return _run(rest, [{name: level[None], "voice": voice[None]} for level, voice in levels])

    yield "crema_d", "audio", crema_d.emotion, from_levels


def _level(graph: ModelProto) -> str:
    """Name the tensor of log-mels: what the first Exp, which weighs frames by their power, undoes,
    two operators before it."""
    producers = {output: node for node in graph.graph.node for output in node.output}
    power = next(node for node in graph.graph.node if node.op_type == "Exp")
    scaled = producers[power.input[0]]
    return str(producers[scaled.input[0]].input[0])


def _run(graph: ModelProto, feeds: list[dict[str, NDArray[np.generic]]]) -> NDArray[np.float32]:
    session = open_session(graph)
    return np.concatenate([session.run(["features"], feed)[0] for feed in feeds])
