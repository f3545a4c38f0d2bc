"""Checks that a manifest agrees with itself before anything in it is believed."""

import re
from collections.abc import Iterable, Mapping

from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.bundle.container import check_name
from dcet.runtime.bundle.manifest import Manifest, Modality, Profile, Speech, Tensor
from dcet.runtime.errors import BundleManifestError, BundlePathOutside
from dcet.runtime.labels import EMOTIONS, MODALITIES

Signature = dict[str, tuple[str, tuple[int | str, ...]]]  # (dtype, shape) by name

ANY = "any"  # size of a dimension that may vary, whatever its name
ESTIMATES: Signature = {
    "probabilities": ("float32", (1, len(EMOTIONS))),
    "sentiment": ("float32", (1, 1)),
    "shift": ("float32", (1, 1)),
    "modality_weights": ("float32", (1, len(MODALITIES))),
}
OPTIONAL_ESTIMATES: Signature = {  # that bundles before schema_version 1.3 lack
    "confidence": ("float32", (1, 1)),
    "familiarity": ("float32", (1, len(MODALITIES))),
}
# protobuf's way to write the key "location" of TensorProto.external_data: field 1, 8 bytes long.
# Either number may be padded, so that a plain search for the usual bytes would miss some.
_EXTERNAL_DATA = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")


def check_manifest(manifest: Manifest) -> None:
    """Raise BundleManifestError where two parts of the manifest contradict each other."""
    _expect(manifest.labels == EMOTIONS, "labels", EMOTIONS, manifest.labels)
    names = tuple(manifest.modalities)
    _expect(set(names) == set(MODALITIES), "modalities", MODALITIES, names)
    _expect(len(manifest.engines) > 0, "engines", "at least one", manifest.engines)
    max_tokens = manifest.tokenizer.max_tokens
    _expect(max_tokens > 0, "tokenizer.max_tokens", "1 or more", max_tokens)
    _expect("step" in manifest.graphs, "graphs", "a graph 'step'", list(manifest.graphs))
    for key, file in manifest.named_files.items():
        check_name(file, f"manifest.json: {key}")
        _expect(file in manifest.files, key, "a file that `files` lists", file)
    for name, modality in manifest.modalities.items():
        _check_modality(manifest, name, modality)
    _check_state(manifest)
    _check_step(manifest)
    if manifest.speech is not None:
        _check_speech(manifest, manifest.speech)
    deadline = manifest.deadline_ms
    _expect(deadline is None or deadline > 0, "deadline_ms", "more than 0", deadline)
    if manifest.finalize is not None and manifest.finalize.tensorrt is not None:
        for id, profiles in manifest.finalize.tensorrt.profiles.items():
            _check_profiles(manifest, id, profiles)


def _check_modality(manifest: Manifest, name: str, modality: Modality) -> None:
    where = f"modalities.{name}"
    is_sequence = modality.length is not None and modality.mask is not None
    _expect(is_sequence == (name != "text"), where, "length and mask of a sequence", modality)
    length, limit = modality.length or 0, modality.limit
    fits = limit is None or (type(limit) is int and 1 <= limit <= length)
    _expect(fits, f"{where}.limit", f"1 to {length}, of a sequence", limit)
    if modality.encoder is None:
        return
    _expect(
        modality.encoder in manifest.graphs,
        f"{where}.encoder",
        list(manifest.graphs),
        modality.encoder,
    )
    check = {"text": _check_text, "audio": _check_audio, "face": _check_face}[name]
    check(manifest, modality, modality.encoder)


def _check_text(manifest: Manifest, modality: Modality, encoder: str) -> None:
    graph = manifest.graphs[encoder]
    inputs = signature(graph.inputs, "graphs.text.inputs")
    tokens = [(dtype, len(shape), shape[:1]) for dtype, shape in inputs.values()]
    _expect(
        inputs.keys() == {"input_ids", "attention_mask"} and tokens == [("int32", 2, (1,))] * 2,
        "graphs.text.inputs",
        "input_ids and attention_mask, int32 (1, tokens)",
        inputs,
    )
    outputs = signature(graph.outputs, "graphs.text.outputs")
    expected = {"features": ("float32", (1, modality.width))}
    _expect(outputs == expected, "graphs.text.outputs", expected, outputs)


def _check_audio(manifest: Manifest, modality: Modality, encoder: str) -> None:
    """Check PCM in windows, and the state of a speaker's voice."""
    rate, samples = modality.sample_rate_hz, modality.window_samples or 0
    _expect(rate == SAMPLE_RATE_HZ, "modalities.audio.sample_rate_hz", SAMPLE_RATE_HZ, rate)
    _expect(samples > 0, "modalities.audio.window_samples", "1 or more", samples)
    inputs: Signature = {"pcm": ("float32", (ANY, samples))}
    outputs: Signature = {"features": ("float32", (ANY, modality.width))}
    states, next_states = _states(manifest, encoder)
    _check_encoder(manifest, encoder, inputs | states, outputs | next_states)


def _check_face(manifest: Manifest, modality: Modality, encoder: str) -> None:
    inputs: Signature = {"pixels": ("uint8", (ANY, ANY, ANY, 3))}
    outputs: Signature = {"features": ("float32", (ANY, modality.width))}
    _check_encoder(manifest, encoder, inputs, outputs)


def _check_speech(manifest: Manifest, speech: Speech) -> None:
    _expect(speech.graph in manifest.graphs, "speech.graph", list(manifest.graphs), speech.graph)
    least_ms, threshold, hop = speech.least_ms, speech.threshold, speech.hop_samples
    _expect(0 < threshold < 1, "speech.threshold", "between 0 and 1", threshold)
    _expect(least_ms >= 0, "speech.least_ms", "0 or more", least_ms)
    _expect(hop > 0, "speech.hop_samples", "1 or more", hop)
    where = f"graphs.{speech.graph}.inputs"
    state = signature(manifest.graphs[speech.graph].inputs, where).get(speech.input)
    is_fixed = state is not None and all(isinstance(size, int) and size > 0 for size in state[1])
    _expect(is_fixed, f"{where}.{speech.input}", "a state of fixed shape", state)
    assert state is not None
    inputs: Signature = {"pcm": ("float32", (1, ANY)), speech.input: state}
    outputs: Signature = {"speech": ("float32", (1, ANY)), speech.output: state}
    _check_encoder(manifest, speech.graph, inputs, outputs)


def _check_encoder(manifest: Manifest, encoder: str, inputs: Signature, outputs: Signature) -> None:
    graph = manifest.graphs[encoder]
    for kind, tensors, expected in (
        ("inputs", graph.inputs, inputs),
        ("outputs", graph.outputs, outputs),
    ):
        where = f"graphs.{encoder}.{kind}"
        found = {
            name: (dtype, tuple(size if isinstance(size, int) else ANY for size in shape))
            for name, (dtype, shape) in signature(tensors, where).items()
        }
        _same(found, expected, where)


def _states(manifest: Manifest, graph: str) -> tuple[Signature, Signature]:
    """Return the state pairs of a graph as its inputs and as its outputs."""
    pairs = [pair for pair in manifest.state if pair.graph == graph]
    states = [Tensor(name=pair.input, dtype=pair.dtype, shape=pair.shape) for pair in pairs]
    following = [Tensor(name=pair.output, dtype=pair.dtype, shape=pair.shape) for pair in pairs]
    return signature(states, "state"), signature(following, "state")


def _check_state(manifest: Manifest) -> None:
    owners = ("step", manifest.modalities["audio"].encoder)
    for pair in manifest.state:
        _expect(pair.graph in owners, f"state.{pair.input}.graph", owners, pair.graph)
        is_plain = pair.dtype == "float32" and pair.shape[:1] == (1,) and min(pair.shape) > 0
        _expect(is_plain, f"state.{pair.input}", "float32 (1, …)", (pair.dtype, pair.shape))
    names = [pair.input for pair in manifest.state]
    _expect(len(set(names)) == len(names), "state", "each name once", names)
    scene = [pair.input for pair in manifest.state if pair.per == "scene"]
    _expect(manifest.scene_speakers in scene, "scene_speakers", scene, manifest.scene_speakers)


def _check_step(manifest: Manifest) -> None:
    """Check that the step's inputs and outputs are those that modalities and state ask for."""
    graph = manifest.graphs["step"]
    inputs = signature(graph.inputs, "graphs.step.inputs")
    expected: Signature = {
        "modality_mask": ("float32", (1, len(MODALITIES))),
        "quality": ("float32", (1, len(MODALITIES))),
        manifest.speaker_input: ("float32", (1, 1)),
    }
    for modality in manifest.modalities.values():
        if modality.length is None or modality.mask is None:
            expected[modality.input] = ("float32", (1, modality.width))
        else:
            expected[modality.input] = ("float32", (1, modality.length, modality.width))
            expected[modality.mask] = ("float32", (1, modality.length))
    states, next_states = _states(manifest, "step")
    expected |= states
    # Free: how many episodes, and how wide.
    expected |= {name: inputs[name] for name in ("episodes", "episodes_mask") if name in inputs}
    _same(inputs, expected, "graphs.step.inputs")
    for name, (_, shape) in inputs.items():
        is_fixed = all(isinstance(size, int) and size > 0 for size in shape)
        _expect(is_fixed, f"graphs.step.inputs.{name}", "a fixed shape", shape)

    outputs = signature(graph.outputs, "graphs.step.outputs")
    optional = {name: OPTIONAL_ESTIMATES[name] for name in OPTIONAL_ESTIMATES.keys() & outputs}
    _same(outputs, ESTIMATES | optional | next_states, "graphs.step.outputs")


def _check_profiles(manifest: Manifest, id: str, profiles: Mapping[str, Profile]) -> None:
    """Check that profiles give each input of a varying shape three shapes that it can have."""
    where = f"finalize.tensorrt.profiles.{id}"
    _expect(id in manifest.graphs, where, list(manifest.graphs), "another graph")
    shapes = {
        tensor.name: tensor.shape
        for tensor in manifest.graphs[id].inputs
        if not all(isinstance(size, int) for size in tensor.shape)
    }
    _expect(profiles.keys() == shapes.keys(), where, list(shapes), list(profiles))
    for name, shape in shapes.items():
        profile = profiles[name]
        sizes = (profile.min, profile.opt, profile.max)
        _expect(
            all(len(each) == len(shape) for each in sizes)
            and all(
                1 <= least <= usual <= most and (isinstance(size, str) or least == most == size)
                for size, least, usual, most in zip(shape, *sizes, strict=True)
            ),
            f"{where}.{name}",
            f"min ≤ opt ≤ max of {shape}",
            profile,
        )


def check_weights_inside(graph: bytes, where: str) -> None:
    """Raise BundlePathOutside when an ONNX graph reads its weights from another file."""
    if b"location" in graph and _EXTERNAL_DATA.search(graph):
        raise BundlePathOutside(
            f"{where}: expected a graph with its weights inside, got one that reads another file; "
            "export it without external data"
        )


def signature(tensors: Iterable[Tensor], where: str) -> Signature:
    """Return (dtype, shape) of each tensor by its name, which must be unique."""
    found: Signature = {}
    for tensor in tensors:
        _expect(tensor.name not in found, where, "each name once", tensor.name)
        found[tensor.name] = (tensor.dtype, tensor.shape)
    return found


def _same(found: Mapping[str, object], expected: Mapping[str, object], where: str) -> None:
    for name in sorted(found.keys() | expected.keys()):
        _expect(
            found.get(name) == expected.get(name),
            f"{where}.{name}",
            expected.get(name, "no such tensor"),
            found.get(name, "no such tensor"),
        )


def _expect(holds: bool, where: str, expected: object, found: object) -> None:
    if not holds:
        raise BundleManifestError(
            f"manifest.json: {where}: expected {expected}, got {found}; export the bundle again"
        )
