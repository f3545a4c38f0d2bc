"""A bundle of a few kilobytes that obeys docs/bundle-format.md, for tests without a trained model.

Its `step` is an honest function of every input: memories are running averages, rings shift by one,
and the speaker's number decides which past of the scene counts. Its `audio` compares how loud a
window is with all that this voice said before; its `face` takes the mean colour of a face; to its
`speech`, which it has where asked for, a voice is what is loud. Nothing
here uses the manifest's dataclasses, so that writer and reader are checked against the
specification and not each other.
"""

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

Array = NDArray[Any]
Shape = Sequence[int | str]

EMOTIONS = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"]
MODALITIES = ["text", "audio", "face"]
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] i you we they am are is so happy sad angry afraid fine ! . ?".split()
)
MAX_TOKENS = 16
WIDTH = 8  # of text features, memory tokens, ring entries and episodes alike

TEXT_INPUTS: dict[str, Shape] = {"input_ids": (1, "tokens"), "attention_mask": (1, "tokens")}
AUDIO_INPUTS: dict[str, Shape] = {"pcm": ("windows", 48_000), "voice": (1, 3, 64)}
AUDIO_OUTPUTS: dict[str, Shape] = {"features": ("windows", 3), "next_voice": (1, 3, 64)}
SPEECH_STATE: dict[str, Shape] = {"speech_state": (1, 4)}
SPEECH_INPUTS: dict[str, Shape] = {"pcm": (1, "samples"), **SPEECH_STATE}
SPEECH_OUTPUTS: dict[str, Shape] = {"speech": (1, "hops"), "next_speech_state": (1, 4)}
VOICED_POWER = 2e-5  # of a hop
FACE_INPUTS: dict[str, Shape] = {"pixels": ("faces", "height", "width", 3)}
FACE_OUTPUTS: dict[str, Shape] = {"features": ("faces", 4)}
FEATURES: dict[str, tuple[int, ...]] = {
    "text": (1, WIDTH),
    "audio": (1, 8, 3),
    "audio_mask": (1, 8),
    "face": (1, 8, 4),
    "face_mask": (1, 8),
    "modality_mask": (1, 3),
    "quality": (1, 3),
    "episodes": (1, 2, WIDTH),
    "episodes_mask": (1, 2),
    "speaker": (1, 1),
}
PROFILES: dict[str, dict[str, dict[str, list[int]]]] = {
    "text": {
        name: {"min": [1, 1], "opt": [1, 8], "max": [1, MAX_TOKENS]}
        for name in ("input_ids", "attention_mask")
    },
    "audio": {"pcm": {"min": [1, 48_000], "opt": [1, 48_000], "max": [8, 48_000]}},
    "face": {"pixels": {"min": [1, 12, 12, 3], "opt": [8, 96, 96, 3], "max": [8, 192, 192, 3]}},
    "step": {},
}
STATES: dict[str, tuple[str, tuple[int, ...]]] = {
    "speaker_memory": ("speaker", (1, 2, WIDTH)),
    "speaker_ring": ("speaker", (1, 2, WIDTH)),
    "speaker_ring_mask": ("speaker", (1, 2)),
    "speaker_estimate": ("speaker", (1, 7)),
    "scene_memory": ("scene", (1, 2, WIDTH)),
    "scene_ring": ("scene", (1, 3, WIDTH)),
    "scene_ring_speaker": ("scene", (1, 3)),
}
ESTIMATES: dict[str, tuple[int, ...]] = {
    "probabilities": (1, 7),
    "sentiment": (1, 1),
    "shift": (1, 1),
    "modality_weights": (1, 3),
    "confidence": (1, 1),
    "familiarity": (1, 3),
}


def write_tiny_bundle(
    path: Path,
    *,
    target: str = "cpu",
    engines: Sequence[str] = ("onnxruntime",),
    senses: Sequence[str] = ("audio", "face"),
    lacking: Sequence[str] = (),
    as_zip: bool = True,
) -> Path:
    """Write the bundle to `path`, as a stored zip or as a directory, and return `path`.

    It holds OpenVINO IR and profiles for TensorRT where `engines` names them, and encoders of the
    `senses`. Without them it is trained on audio but not on faces. `lacking` names estimates that
    its step does not make, as those of older bundles.
    """
    estimates = {name: shape for name, shape in ESTIMATES.items() if name not in lacking}
    graphs = {"text": text_graph(), "step": step_graph(estimates)}
    graphs |= {
        name: graph
        for name, graph in (
            ("audio", audio_graph()),
            ("face", face_graph()),
            ("speech", speech_graph()),
        )
        if name in senses
    }
    files = {
        **{f"graphs/{id}.fp32.onnx": graph.SerializeToString() for id, graph in graphs.items()},
        "tokenizer.json": tokenizer().to_str().encode(),
        "MODEL_CARD.md": b"# Tiny\nRandom weights, for tests.\n",
        "LICENSES/Apache-2.0.txt": b"Apache-2.0\n",
        **golden_files(graphs["text"], graphs["step"], estimates),
    }
    if "openvino" in engines:
        for id, graph in graphs.items():
            files |= openvino_files(id, graph)
    manifest = tiny_manifest(
        files, target=target, engines=list(engines), senses=senses, estimates=estimates
    )
    if "tensorrt" in engines:
        profiles = {id: PROFILES[id] for id in graphs}
        build = {"min": "10.3", "max": "11", "profiles": profiles, "scripts": {}}
        manifest["finalize"] = {"tensorrt": build}
    return write_container(path, manifest, files, as_zip=as_zip)


def write_container(
    path: Path, manifest: Mapping[str, Any], files: Mapping[str, bytes], *, as_zip: bool = True
) -> Path:
    """Write these very bytes, right or wrong."""
    everything = {"manifest.json": json.dumps(manifest, indent=1).encode(), **files}
    if as_zip:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, data in everything.items():
                archive.writestr(name, data)
        return path
    for name, data in everything.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def describe_files(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """The manifest's `files`."""
    return {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
        for name, data in files.items()
    }


def tiny_manifest(
    files: Mapping[str, bytes],
    *,
    target: str,
    engines: Sequence[str],
    senses: Sequence[str],
    estimates: Mapping[str, Shape],
) -> dict[str, Any]:
    """The manifest of the tiny bundle as JSON."""

    def graph(name: str, inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
        onnx_file = {"file": f"graphs/{name}.fp32.onnx", "precision": "fp32", "opset": 18}
        row = {**onnx_file, "ir_version": 10, "qdq_count": 0, "inputs": inputs, "outputs": outputs}
        if "openvino" in engines:
            row["openvino"] = {"xml": f"openvino/{name}.xml", "bin": f"openvino/{name}.bin"}
        return row

    def tensors(shapes: Mapping[str, Shape], dtype: str = "float32") -> list[dict[str, Any]]:
        return [{"name": n, "dtype": dtype, "shape": list(s)} for n, s in shapes.items()]

    states = {name: shape for name, (_, shape) in STATES.items()}
    next_states = {f"next_{name}": shape for name, shape in states.items()}
    voice: dict[str, Any] = {"in": "voice", "out": "next_voice", "shape": [1, 3, 64]}
    voice |= {"dtype": "float32", "per": "speaker", "graph": "audio"}
    encoders = {
        "audio": graph("audio", tensors(AUDIO_INPUTS), tensors(AUDIO_OUTPUTS)),
        "face": graph("face", tensors(FACE_INPUTS, "uint8"), tensors(FACE_OUTPUTS)),
        "speech": graph("speech", tensors(SPEECH_INPUTS), tensors(SPEECH_OUTPUTS)),
    }
    speech = {"graph": "speech", "in": "speech_state", "out": "next_speech_state"}
    needed = {"hop_samples": 512, "threshold": 0.5, "least_ms": 200}
    return {
        **({"speech": speech | needed} if "speech" in senses else {}),
        "schema_version": "1.3",
        "name": "tiny",
        "version": "0.1.0",
        "created": "2025-01-31T12:00:00Z",
        "target": target,
        "engines": list(engines),
        "labels": EMOTIONS,
        "graphs": {
            "text": graph("text", tensors(TEXT_INPUTS, "int32"), tensors({"features": (1, WIDTH)})),
            "step": graph(
                "step", tensors(FEATURES | states), tensors({**estimates, **next_states})
            ),
            **{name: encoders[name] for name in senses},
        },
        "state": [
            {
                "in": name,
                "out": f"next_{name}",
                "shape": list(shape),
                "dtype": "float32",
                "per": per,
            }
            for name, (per, shape) in STATES.items()
        ]
        + [voice] * ("audio" in senses),
        "speaker_input": "speaker",
        "scene_speakers": "scene_ring_speaker",
        "modalities": {
            "text": {"input": "text", "width": WIDTH, "encoder": "text", "trained": True},
            "audio": {
                "input": "audio",
                "width": 3,
                "length": 8,
                "mask": "audio_mask",
                "encoder": "audio" if "audio" in senses else None,
                "trained": True,
                **(
                    {"sample_rate_hz": 16_000, "window_samples": 48_000}
                    if "audio" in senses
                    else {}
                ),
            },
            "face": {
                "input": "face",
                "width": 4,
                "length": 8,
                "mask": "face_mask",
                "encoder": "face" if "face" in senses else None,
                "trained": "face" in senses,
            },
        },
        "tokenizer": {"file": "tokenizer.json", "max_tokens": MAX_TOKENS},
        "golden": {
            "inputs": "golden/inputs.npz",
            "expected": "golden/expected.npz",
            "cases": [
                *({"name": case, "steps": len(inputs["speaker"])} for case, inputs in cases()),
                {"name": "text", "steps": 1},
            ],
        },
        "parity": [
            {
                "engine": "onnxruntime-cpu",
                "case": "plain",
                "steps": 6,
                "max_abs_probability": 0.0,
                "tolerance": 1e-4,
                "same_label": True,
            }
        ],
        "accuracy": {"n": 0},
        "checkpoint_sha256": hashlib.sha256(b"tiny").hexdigest(),
        "licences": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "toolchain": {"onnx": onnx.__version__},
        "files": describe_files(files),
    }


def tokenizer() -> Tokenizer:
    """A word-level tokenizer that writes [CLS] … [SEP]."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(name, WORDS.index(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, special)
    return made


class _Nodes:
    """Collects a graph's nodes and constants; every method returns the name of a tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self.rng = np.random.default_rng(20)

    def op(self, kind: str, *inputs: str, named: str = "", **attributes: Any) -> str:
        output = named or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(self.rng.standard_normal(shape) * 0.7)

    def axis(self, number: int) -> str:
        return self.constant([number], np.int64)

    def sum(self, first: str, *others: str) -> str:
        for other in others:
            first = self.op("Add", first, other)
        return first

    def masked_sum(self, items: str, mask: str) -> str:
        """items (1, n, d), mask (1, n) -> (1, d)."""
        kept = self.op("Mul", items, self.op("Unsqueeze", mask, self.axis(2)))
        return self.op("ReduceSum", kept, self.axis(1), keepdims=0)

    def push(self, ring: str, item: str, length: int) -> None:
        """Drop the oldest entry of `ring` (1, length, …) and append `item` (1, 1, …)."""
        rest = self.op("Slice", ring, self.axis(1), self.axis(length), self.axis(1))
        self.op("Concat", rest, item, axis=1, named=f"next_{ring}")

    def model(
        self, name: str, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], kind: int
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(n, kind, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
            self.constants,
        )
        opset = helper.make_opsetid("", 18)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model


def text_graph() -> onnx.ModelProto:
    """The mean of the tokens' embeddings."""
    g = _Nodes()
    embedded = g.op("Gather", g.weights(len(WORDS), WIDTH), "input_ids")
    mask = g.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    count = g.op("ReduceSum", mask, g.axis(1))
    g.op("Div", g.masked_sum(embedded, mask), count, named="features")
    return g.model("text", TEXT_INPUTS, {"features": (1, WIDTH)}, TensorProto.INT32)


def audio_graph() -> onnx.ModelProto:
    """Make the graph of mean, power and peak of each window, next to the voice's running sums."""
    g = _Nodes()
    loudness = g.op("Abs", "pcm")
    measures = [
        g.op("ReduceMean", loudness, g.axis(1)),
        g.op("ReduceSumSquare", "pcm", g.axis(1)),
        g.op("ReduceMax", loudness, g.axis(1)),
    ]
    heard = g.op("Concat", *measures, axis=1)
    usual = g.op("ReduceMean", "voice", g.axis(2), keepdims=0)
    known = g.op("MatMul", usual, g.weights(3, 3))
    g.op("Tanh", g.sum(g.op("MatMul", heard, g.weights(3, 3)), known), named="features")
    total = g.op("ReduceSum", heard, g.axis(0))
    g.op("Add", "voice", g.op("Unsqueeze", total, g.axis(2)), named="next_voice")
    return g.model("audio", AUDIO_INPUTS, AUDIO_OUTPUTS, TensorProto.FLOAT)


def speech_graph() -> onnx.ModelProto:
    """Make the graph that calls loud hops a voice, and remembers how loud the last one was."""
    g = _Nodes()
    hops = g.op("Reshape", "pcm", g.constant([1, -1, 512], np.int64))
    power = g.op("ReduceMean", g.op("Mul", hops, hops), g.axis(2), keepdims=0)
    above = g.op("Sub", power, g.constant(VOICED_POWER))
    g.op("Sigmoid", g.op("Mul", above, g.constant(1e6)), named="speech")
    last = g.op("Slice", power, g.axis(-1), g.axis(2**31), g.axis(1))
    g.op("Add", g.op("Mul", "speech_state", g.constant(0)), last, named="next_speech_state")
    return g.model("speech", SPEECH_INPUTS, SPEECH_OUTPUTS, TensorProto.FLOAT)


def face_graph() -> onnx.ModelProto:
    """Make the graph that judges a face by its mean colour."""
    g = _Nodes()
    pixels = g.op("Cast", "pixels", to=TensorProto.FLOAT)
    colour = g.op("ReduceMean", pixels, g.constant([1, 2], np.int64), keepdims=0)
    share = g.op("Div", colour, g.constant(255))
    g.op("Tanh", g.op("MatMul", share, g.weights(3, 4)), named="features")
    return g.model("face", FACE_INPUTS, FACE_OUTPUTS, TensorProto.UINT8)


def step_graph(estimates: Mapping[str, Shape] = ESTIMATES) -> onnx.ModelProto:
    """One turn: an average of what is given and remembered, and its memory."""
    g = _Nodes()
    trust = g.op("Mul", "modality_mask", "quality")
    total = g.op("Max", g.op("ReduceSum", trust, g.axis(1)), g.constant([[1e-6]]))
    weights = g.op("Div", trust, total, named="modality_weights")
    senses = [
        g.op("MatMul", "text", g.weights(WIDTH, WIDTH)),
        g.op("MatMul", g.masked_sum("audio", "audio_mask"), g.weights(3, WIDTH)),
        g.op("MatMul", g.masked_sum("face", "face_mask"), g.weights(4, WIDTH)),
    ]
    one_by_one = [g.op("Gather", weights, g.constant([i], np.int64), axis=1) for i in range(3)]
    shares = [g.op("Mul", *pair) for pair in zip(senses, one_by_one, strict=True)]
    utterance = g.op("Tanh", g.sum(*shares))

    distance = g.op("Abs", g.op("Sub", "scene_ring_speaker", "speaker"))
    same = g.op("Sub", g.constant(1), g.op("Min", distance, g.constant(1)))
    context = g.op(
        "Tanh",
        g.sum(
            utterance,
            g.op("ReduceMean", "speaker_memory", g.axis(1), keepdims=0),
            g.masked_sum("speaker_ring", "speaker_ring_mask"),
            g.op("ReduceMean", "scene_memory", g.axis(1), keepdims=0),
            g.masked_sum("scene_ring", same),
            g.masked_sum("episodes", "episodes_mask"),
        ),
    )
    emotion = g.op("MatMul", context, g.weights(WIDTH, 7))
    probabilities = g.op("Softmax", emotion, axis=1, named="probabilities")
    g.op("Tanh", g.op("MatMul", context, g.weights(WIDTH, 1)), named="sentiment")
    alike = g.op("Mul", probabilities, "speaker_estimate")
    unlike = g.op("Sub", g.op("MatMul", context, g.weights(WIDTH, 1)), _total(g, alike))
    g.op("Sigmoid", unlike, named="shift")
    g.op("Identity", probabilities, named="next_speaker_estimate")
    most = g.op("ReduceMax", probabilities, g.axis(1), keepdims=1)
    quality = _total(g, g.op("Mul", weights, "quality"))
    g.op("Mul", most, quality, named="confidence")
    strange = g.op("Sigmoid", g.op("MatMul", context, g.weights(WIDTH, 3)))
    present = g.op("Mul", strange, "modality_mask")
    g.op("Sub", g.constant(1), present, named="familiarity")

    item = g.op("Unsqueeze", utterance, g.axis(1))
    for memory, share in (("speaker_memory", 0.5), ("scene_memory", 0.3)):
        change = g.op("Mul", g.op("Sub", item, memory), g.constant(share))
        g.op("Add", memory, change, named=f"next_{memory}")
    g.push("speaker_ring", item, 2)
    g.push("speaker_ring_mask", g.constant([[1]]), 2)
    g.push("scene_ring", item, 3)
    g.push("scene_ring_speaker", "speaker", 3)

    states = {name: shape for name, (_, shape) in STATES.items()}
    next_states = {f"next_{name}": shape for name, shape in states.items()}
    return g.model("step", FEATURES | states, {**estimates, **next_states}, TensorProto.FLOAT)


def _total(g: _Nodes, tensor: str) -> str:
    """(1, n) -> (1, 1)."""
    return g.op("ReduceSum", tensor, g.axis(1), keepdims=1)


def cases() -> list[tuple[str, dict[str, Array]]]:
    """The golden cases of `step`: name and inputs, each (steps, …), with `reset` (steps,)."""
    made = [
        ("plain", _case(MODALITIES, speakers=[1, 1, 1, 1, 1, 1])),
        ("reset", _case(MODALITIES, speakers=[1, 1, 1, 1], reset=[0, 0, 1, 0])),
        ("switch", _case(MODALITIES, speakers=[1, 2, 1, 3, 2, 1])),
    ]
    for count in (1, 2, 3):
        for present in combinations(MODALITIES, count):
            made.append(("mask_" + "_".join(present), _case(present, speakers=[1, 2, 1])))
    return made


def _case(
    present: Sequence[str], *, speakers: list[int], reset: list[int] | None = None
) -> dict[str, Array]:
    rng, steps = np.random.default_rng(len(speakers)), len(speakers)
    mask = np.array([name in present for name in MODALITIES], np.float32)
    inputs: dict[str, Array] = {
        name: np.zeros((steps, *shape), np.float32) for name, shape in FEATURES.items()
    }
    for name, is_present in zip(MODALITIES, mask, strict=True):
        inputs[name] = rng.standard_normal(inputs[name].shape, dtype=np.float32) * is_present
        if name != "text":
            inputs[f"{name}_mask"][:] = is_present
    inputs["modality_mask"][:] = mask
    inputs["quality"][:] = 1
    inputs["speaker"][:] = np.array(speakers, np.float32)[:, None, None]
    inputs["reset"] = np.array(reset or [0] * steps, np.int32)
    return inputs


def golden_files(
    text: onnx.ModelProto, step: onnx.ModelProto, estimates: Mapping[str, Shape]
) -> dict[str, bytes]:
    """Golden sequences; ONNX Runtime stands in for the torch model."""
    ids = np.array([[2, 4, 8, 12, 3]], np.int32)
    token_inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    inputs = {f"text/{name}": value[None] for name, value in token_inputs.items()}
    expected = {"text/features": _session(text).run(["features"], token_inputs)[0][None]}
    session = _session(step)
    for case, sequence in cases():
        inputs |= {f"{case}/{name}": value for name, value in sequence.items()}
        rows = _play(session, sequence)
        expected |= {f"{case}/{name}": np.stack([r[name] for r in rows]) for name in estimates}
    return {"golden/inputs.npz": _npz(inputs), "golden/expected.npz": _npz(expected)}


def _play(session: Any, sequence: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Play one case as the step rule says."""
    names = [output.name for output in session.get_outputs()]
    memory: dict[tuple[str, float], Array] = {}
    rows = []
    for turn, reset in enumerate(sequence["reset"]):
        if reset:
            memory.clear()
        speaker = float(sequence["speaker"][turn, 0, 0])
        owners = {n: (n, speaker if per == "speaker" else 0.0) for n, (per, _) in STATES.items()}
        feed = {name: sequence[name][turn] for name in FEATURES}
        for name, owner in owners.items():
            feed[name] = memory.get(owner, np.zeros(STATES[name][1], np.float32))
        row = dict(zip(names, session.run(names, feed), strict=True))
        memory |= {owner: row[f"next_{name}"] for name, owner in owners.items()}
        rows.append(row)
    return rows


def _session(model: onnx.ModelProto) -> Any:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _npz(arrays: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def openvino_files(name: str, model: onnx.ModelProto) -> dict[str, bytes]:
    """The same graph as OpenVINO IR."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "graph.onnx")
        source.write_bytes(model.SerializeToString())
        openvino.save_model(
            openvino.convert_model(source), Path(folder, "ir.xml"), compress_to_fp16=False
        )
        return {
            f"openvino/{name}.{kind}": Path(folder, f"ir.{kind}").read_bytes()
            for kind in ("xml", "bin")
        }
