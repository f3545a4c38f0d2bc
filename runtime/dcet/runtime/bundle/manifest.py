"""manifest.json as dataclasses. docs/bundle-format.md says what the keys mean."""

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dcet.runtime.errors import BundleManifestError, BundleSchemaTooNew
from dcet.runtime.schema_version import check_schema_version

SCHEMA_VERSION = "1.3"
# Unicode's control characters but tab and line feed, and halves of surrogate pairs.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

T = TypeVar("T")
Owner = Literal["speaker", "scene"]  # of a state


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An input or output of a graph. A dimension that may vary is a name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenvinoFiles:
    """The files of a graph as OpenVINO IR: the IR, and its weights, in the ONNX file or a .bin."""

    xml: str
    bin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """An ONNX file and what goes in and out of it."""

    file: str
    precision: str
    opset: int
    ir_version: int
    qdq_count: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    openvino: OpenvinoFiles | None = None
    arithmetic: str | None = None  # in which most weights are multiplied: fp32, fp16 or int8


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePair:
    """A state: `output` of one run of `graph` is `input` of the next; zeros at first."""

    input: str = field(metadata={"key": "in"})
    output: str = field(metadata={"key": "out"})
    shape: tuple[int, ...]
    dtype: str
    per: Owner
    graph: str = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """One modality of the step's input: text as a vector, audio and face as masked sequences."""

    input: str
    width: int
    length: int | None = None  # of a sequence
    limit: int | None = None  # how many of its items a turn uses; all that there is room for
    mask: str | None = None  # input that says which of its items are there
    encoder: str | None = None  # a graph's id
    trained: bool
    sample_rate_hz: int | None = None  # of the PCM that an audio encoder takes
    window_samples: int | None = None  # of which it takes this many at once

    @property
    def most(self) -> int:
        """The most windows or faces of a turn that the encoder is given; 0 for text."""
        return self.limit or self.length or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """The graph that tells where a voice sounds, and how much of one a turn's audio needs.

    Its state, like all, begins as zeros; it is one stream's, and no speaker's.
    """

    graph: str  # its id
    input: str = field(metadata={"key": "in"})  # of the state
    output: str = field(metadata={"key": "out"})
    hop_samples: int  # for which it gives one probability
    threshold: float  # from which a hop is voiced
    least_ms: float  # of voiced hops, below which no voice was heard


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFile:
    """A file of Hugging Face `tokenizers`, and the most tokens the text graph takes."""

    file: str
    max_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCase:
    name: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Recorded inputs and what torch made of them."""

    inputs: str
    expected: str
    cases: tuple[GoldenCase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The difference between an engine and torch on one golden case."""

    engine: str
    case: str
    steps: int
    max_abs_probability: float
    tolerance: float
    same_label: bool
    label_agreement: float | None = None  # share of the steps with torch's most probable emotion


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLayer:
    """A layer of an int8 graph that stayed float; what int8 would cost where it was measured."""

    layer: str
    mean_kl: float | None = None
    max_abs_probability: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedGraph:
    """The share of a graph that is int8."""

    layers: int  # that it has
    kept: tuple[KeptLayer, ...]  # of them, in float


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """Labelled turns that something was measured on."""

    name: str
    sha256: str
    turns: int
    conversations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusCost:
    """Accuracy of one encoder on labelled clips or faces, in float and in int8."""

    graph: str
    items: int
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """The cost of int8: the bundle in float and as it is, on the turns that calibrated it."""

    quantizer: str
    symmetric: bool  # activations are int8 with zero point 0, else uint8 with any
    engine: str  # that ran
    calibration: LabelledSet
    metric: str
    before: float
    after: float
    max_drop: float
    per_class_f1_before: Mapping[str, float]
    per_class_f1_after: Mapping[str, float]
    label_agreement: float  # share of the turns with the same most probable emotion
    mean_kl: float  # nats
    graphs: Mapping[str, QuantizedGraph]
    corpora: Mapping[str, CorpusCost] | None = None  # by name, where they were asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Smallest, usual and largest shape of an input that an engine of TensorRT is built for."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorrtBuild:
    """The settings with which a device builds its engines."""

    min: str  # oldest version of TensorRT that the graphs were checked against
    max: str  # newest; 10 takes every 10.x
    profiles: Mapping[str, Mapping[str, Profile]]  # by graph, of each input with a varying shape
    scripts: Mapping[str, str]  # by major version, a shell script of trtexec lines
    warnings: tuple[str, ...] = ()  # what the export found that may go wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalize:
    """The work that is left for the device."""

    tensorrt: TensorrtBuild | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything a host needs to know about a bundle."""

    schema_version: str = SCHEMA_VERSION
    name: str
    version: str
    created: str  # RFC 3339, UTC
    target: str
    engines: tuple[str, ...]  # best first
    labels: tuple[str, ...]
    graphs: Mapping[str, Graph]
    state: tuple[StatePair, ...]
    speaker_input: str
    scene_speakers: str
    modalities: Mapping[str, Modality]
    tokenizer: TokenizerFile
    golden: Golden
    parity: tuple[Parity, ...]
    accuracy: Mapping[str, Any]
    checkpoint_sha256: str
    licences: Mapping[str, str]
    toolchain: Mapping[str, str]
    files: Mapping[str, FileRecord]  # every file but the manifest
    deadline_ms: float | None = None  # from the call of a turn to its estimate
    finalize: Finalize | None = None
    quantization: Quantization | None = None  # of a bundle with int8 graphs
    speech: Speech | None = None  # of a bundle that can tell voices from other sounds

    @classmethod
    def from_json(cls, value: Any) -> "Manifest":
        """Read parsed JSON; keys it does not know are ignored.

        Raises BundleSchemaTooNew or BundleManifestError.
        """
        check_schema_version(
            value,
            SCHEMA_VERSION,
            "manifest.json",
            "export the bundle again",
            damaged=BundleManifestError,
            too_new=BundleSchemaTooNew,
        )
        _check_text(value, "")
        manifest: Manifest = _read(cls, value, "")
        return manifest

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `from_json` reads; keys that hold nothing optional are left out."""
        written: dict[str, Any] = _write(self)
        return written

    def states_of(self, graph: str) -> tuple[StatePair, ...]:
        """List the states of a graph, with that of a stream where it is the one of `speech`."""
        pairs = tuple(pair for pair in self.state if pair.graph == graph)
        speech = self.speech
        if speech is None or speech.graph != graph:
            return pairs
        shapes = {tensor.name: tensor.shape for tensor in self.graphs[graph].inputs}
        stream = StatePair(
            input=speech.input,
            output=speech.output,
            shape=tuple(int(size) for size in shapes[speech.input]),
            dtype="float32",
            per="speaker",
            graph=graph,
        )
        return (*pairs, stream)

    @property
    def named_files(self) -> Mapping[str, str]:
        """Every file that a key names, by that key."""
        named = {
            "tokenizer.file": self.tokenizer.file,
            "golden.inputs": self.golden.inputs,
            "golden.expected": self.golden.expected,
        }
        for id, graph in self.graphs.items():
            named[f"graphs.{id}.file"] = graph.file
            if graph.openvino is not None:
                named[f"graphs.{id}.openvino.xml"] = graph.openvino.xml
                named[f"graphs.{id}.openvino.bin"] = graph.openvino.bin
        if self.finalize is not None and self.finalize.tensorrt is not None:
            for major, script in self.finalize.tensorrt.scripts.items():
                named[f"finalize.tensorrt.scripts.{major}"] = script
        return named


def _check_text(value: Any, where: str) -> None:
    """Refuse control characters in any text, which a terminal would obey."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, where)
            _check_text(item, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_text(item, f"{where}[{i}]")
    elif isinstance(value, str) and (found := _CONTROL.search(value)):
        raise BundleManifestError(
            f"manifest.json: {where or 'a key'}: expected text without control characters, got "
            f"{found.group()!r}; do not use this bundle unless you know who made it"
        )


@cache
def _keys(cls: Any) -> tuple[tuple[str, str, Any, bool], ...]:
    """Return (field, JSON key, type, is required) of a dataclass."""
    hints = get_type_hints(cls)
    return tuple(
        (f.name, f.metadata.get("key", f.name), hints[f.name], f.default is MISSING)
        for f in fields(cls)
    )


def _read(expected: Any, value: Any, where: str) -> Any:
    """Convert `value` to the type `expected`; `where` names it in messages."""
    origin, arguments = get_origin(expected), get_args(expected)
    if expected is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and types.NoneType in arguments:
            return None
        kinds = [kind for kind in arguments if kind is not types.NoneType]
        if len(kinds) == 1:
            return _read(kinds[0], value, where)
        if type(value) in kinds:
            return value
    elif origin is Literal:
        if value in arguments:
            return value
    elif origin is tuple and isinstance(value, list):
        return tuple(_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    elif origin is Mapping and isinstance(value, dict):
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    elif is_dataclass(expected) and isinstance(value, dict):
        return _read_object(expected, value, where)
    elif type(value) is expected or (expected is float and type(value) is int):
        return value
    raise BundleManifestError(
        f"manifest.json: {where or 'the whole file'}: expected {_describe(expected)}, "
        f"got {value!r:.80}; export the bundle again"
    )


def _read_object(cls: Any, value: Mapping[str, Any], where: str) -> Any:
    found = {}
    for name, key, kind, is_required in _keys(cls):
        place = f"{where}.{key}".lstrip(".")
        if key in value:
            found[name] = _read(kind, value[key], place)
        elif is_required:
            raise BundleManifestError(
                f"manifest.json: {place}: expected {_describe(kind)}, got no such key; "
                "export the bundle again"
            )
    return cls(**found)


def _describe(expected: Any) -> str:
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(kind) for kind in arguments)
    if origin is Literal:
        return " or ".join(repr(value) for value in arguments)
    if origin is tuple:
        return "a list"
    if origin is Mapping or is_dataclass(expected):
        return "an object"
    return {
        str: "text",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        types.NoneType: "null",
    }[expected]


def _write(value: Any) -> Any:
    if is_dataclass(value):
        pairs = ((key, getattr(value, name)) for name, key, *_ in _keys(value.__class__))
        return {key: _write(item) for key, item in pairs if item is not None}
    if isinstance(value, tuple):
        return [_write(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _write(item) for key, item in value.items()}
    return value
