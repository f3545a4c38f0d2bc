"""A target: one TOML file that says what a device is, runs, and gets in its bundles.

TargetError         a target file cannot be used
└── UnknownTarget   no target has this name
"""

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dcet.runtime.engines.registry import ENGINES
from dcet.runtime.errors import DcetError

DEVICES = Path(__file__).with_name("devices")
GRAPHS = ("text", "audio", "face", "step")
PRECISIONS = ("fp32", "fp16", "int8")
ARITHMETICS = ("fp32", "fp16")
QUANTIZERS = ("nncf", "onnxruntime")
LAYOUTS = ("bundle", "triton")


class TargetError(DcetError, ValueError):
    """A target file cannot be used."""


class UnknownTarget(TargetError):
    """No target has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorrtRange:
    """The TensorRT versions that may build the graphs, both ends included."""

    min: str  # such as 10.3
    max: str  # 10 takes every 10.x
    jetpack: str | None = None  # which JetPack brings them

    @property
    def majors(self) -> tuple[int, ...]:
        return tuple(range(_numbers(self.min)[0], _numbers(self.max)[0] + 1))

    def admits(self, version: str) -> bool:
        """Tell whether an installed TensorRT, such as 10.3.0.30, is in the range."""
        return self.overlaps(f"{version}-{version}")

    def overlaps(self, versions: str) -> bool:
        """Tell whether this range shares a version with another, such as `10.1-10.4` or `10.5-`."""
        since, _, until = (_numbers(end) for end in versions.partition("-"))
        least, most = _numbers(self.min), _numbers(self.max)
        return since[: len(most)] <= most and (until == () or least[: len(until)] <= until)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMode:
    """A power mode of a device, by the name that its own tool gives it."""

    name: str
    watts: float
    scale: float  # share of the device's peak arithmetic that this mode leaves, in (0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Published figures of one device, for arithmetic on dense (not sparse) weights."""

    model: str
    memory_bytes: int
    bandwidth_gb_per_s: float
    peak_int8_tops: float
    peak_fp16_tflops: float
    peak_fp32_tflops: float
    power_modes: tuple[PowerMode, ...]  # that of the peak figures first
    source: str  # address of a public document
    estimated: tuple[
        str, ...
    ] = ()  # keys whose figures are computed, or guessed: no source has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The engines and graphs of one device. The name of a key carries the unit of its value."""

    name: str
    description: str
    engines: tuple[str, ...]  # fallback order: best first
    opset: int  # ONNX operator set of the graphs
    ir_version: int  # ONNX file format version of the graphs
    precision: Mapping[str, str]  # by graph
    deadline_ms: float  # from the call of a turn to its estimate
    openvino_ir: bool  # the bundle also holds the graphs as OpenVINO IR
    family: str | None = None  # whose default `load_target` finds by this name
    is_family_default: bool = False
    arithmetic: Literal["fp32", "fp16"] = "fp32"  # in what an fp16 graph computes
    quantizer: Literal["nncf", "onnxruntime"] = "nncf"  # of int8 graphs
    layout: Literal["bundle", "triton"] = "bundle"
    tensorrt: TensorrtRange | None = None  # None: no engine uses TensorRT
    device: Device | None = None  # None: any machine

    def precision_of(self, graph: str) -> str:
        """Return the precision of a graph.

        `speech`, of which few bytes are to be saved, is no target's choice: its weights are stored
        as those of `step`, unless that computes in fp16, and never in int8.
        """
        if graph != "speech":
            return self.precision[graph]
        is_stored = self.precision["step"] != "fp32" and self.arithmetic == "fp32"
        return "fp16" if is_stored else "fp32"


def list_targets() -> tuple[Target, ...]:
    """List every target that ships with DCET, by name."""
    return tuple(load_target(path) for path in sorted(DEVICES.glob("*.toml")))


def load_target(name_or_path: str | Path) -> Target:
    """Read a target that ships with DCET by its name or its family's, or your own by its .toml.

    The name of a family, such as `jetson`, stands for the family's default.

    Raises UnknownTarget for a name that no target has, TargetError for a file that cannot be used.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml"):
        return _read(Path(name_or_path))
    targets = {target.name: target for target in list_targets()}
    targets |= {
        target.family: target
        for target in targets.values()
        if target.family is not None and target.is_family_default
    }
    if name_or_path not in targets:
        near = get_close_matches(name_or_path, targets) or sorted(targets)
        raise UnknownTarget(
            f"there is no target {name_or_path!r}; did you mean {_either(near)}? "
            "For a device of your own, give the path of its .toml file"
        )
    return targets[name_or_path]


def _read(path: Path) -> Target:
    try:
        row = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetError(
            f"{path}: expected a target file, but it cannot be read ({error.strerror}); "
            "check the path, or use the name of a target that ships with DCET"
        ) from error
    except UnicodeDecodeError as error:
        raise TargetError(
            f"{path}: expected UTF-8, got byte {error.object[error.start]:#04x} "
            f"at offset {error.start}; save the file as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"{path}: expected TOML: {error}; correct that line") from error
    target: Target = _build(Target, row, path, "")
    if target.is_family_default and target.family is None:
        raise TargetError(f"{path}: family is missing, but is_family_default is true; name it")
    if ("tensorrt" in target.engines) != (target.tensorrt is not None):
        raise TargetError(
            f"{path}: expected the engine tensorrt and the table [tensorrt] together; "
            "add or remove one of them"
        )
    return target


def _build(cls: Any, row: Mapping[str, Any], path: Path, table: str) -> Any:
    """Build an object of `cls` from the keys of a table, whose dotted name begins every message."""
    rules = _RULES[cls]
    kind = f"the table [{table.rstrip('.')}]" if table else "a target"
    for key in row.keys() - rules.keys():
        near = get_close_matches(key, rules, n=1)
        cure = f"write {near[0]}" if near else f"remove it; the keys are {', '.join(rules)}"
        raise TargetError(f"{path}: {table}{key} is not a key of {kind}; {cure}")
    values = {}
    for key, rule in rules.items():
        if key not in row:
            if key in _required(cls):
                raise TargetError(f"{path}: {table}{key} is missing; add it, {rule.expected}")
            continue
        if not rule.holds(row[key]):
            raise TargetError(
                f"{path}: {table}{key}: expected {rule.expected}, got {row[key]!r}; correct it"
            )
        values[key] = rule.read(row[key], path, f"{table}{key}.")
    return cls(**values)


@cache
def _required(cls: Any) -> set[str]:
    return {field.name for field in fields(cls) if field.default is MISSING}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _is_name(value: Any) -> bool:
    # Names become parts of file names.
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0


def _is_share(value: Any) -> bool:
    return _is_positive(value) and value <= 1


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)*", value) is not None


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_is_table, value))


def _is_subset(names: tuple[str, ...]) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        return (
            isinstance(value, list)
            and all(name in list(names) for name in value)
            and len(set(value)) == len(value)
        )

    return holds


def _is_fallback_order(value: Any) -> bool:
    return _is_subset(tuple(ENGINES))(value) and len(value) > 0


def _is_precision(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == set(GRAPHS)
        and all(precision in PRECISIONS for precision in value.values())
    )


def _as_is(value: Any, path: Path, table: str) -> Any:
    return value


def _number(value: Any, path: Path, table: str) -> float:
    return float(value)


def _names(value: Any, path: Path, table: str) -> tuple[str, ...]:
    return tuple(value)


def _table(cls: Any) -> Callable[[Any, Path, str], Any]:
    return lambda value, path, table: _build(cls, value, path, table)


def _power_modes(value: Any, path: Path, table: str) -> tuple[PowerMode, ...]:
    return tuple(_build(PowerMode, row, path, table) for row in value)


class _Rule(NamedTuple):
    """The kind of a value: what a message says was expected, its check, and how it is read."""

    expected: str
    holds: Callable[[Any], bool]
    read: Callable[[Any, Path, str], Any] = _as_is


def _one_of(names: tuple[str, ...]) -> _Rule:
    return _Rule(_either(list(names)), lambda value: isinstance(value, str) and value in names)


_TEXT = _Rule("a line of text", _is_text)
_NAME = _Rule("lower-case letters, digits and dashes", _is_name)
_COUNT = _Rule("a positive whole number", _is_count)
_BOOL = _Rule("true or false", lambda value: isinstance(value, bool))
_VERSION = _Rule('a version in quotes, such as "10.3"', _is_version)
_FIGURES = (
    "memory_bytes",
    "bandwidth_gb_per_s",
    "peak_int8_tops",
    "peak_fp16_tflops",
    "peak_fp32_tflops",
    "power_modes",
)

_RULES: Mapping[Any, Mapping[str, _Rule]] = {
    Target: {
        "name": _NAME,
        "description": _TEXT,
        "engines": _Rule(
            f"a list of {_either(list(ENGINES))}, best first, each once", _is_fallback_order, _names
        ),
        "opset": _COUNT,
        "ir_version": _COUNT,
        "precision": _Rule(
            f"a table that gives {', '.join(GRAPHS)} one of {', '.join(PRECISIONS)} each",
            _is_precision,
        ),
        "deadline_ms": _Rule("a positive number of milliseconds", _is_positive, _number),
        "openvino_ir": _BOOL,
        "family": _NAME,
        "is_family_default": _BOOL,
        "arithmetic": _one_of(ARITHMETICS),
        "quantizer": _one_of(QUANTIZERS),
        "layout": _one_of(LAYOUTS),
        "tensorrt": _Rule("a table of min and max", _is_table, _table(TensorrtRange)),
        "device": _Rule("a table of figures", _is_table, _table(Device)),
    },
    TensorrtRange: {"min": _VERSION, "max": _VERSION, "jetpack": _TEXT},
    Device: {
        "model": _TEXT,
        "memory_bytes": _Rule("a positive whole number of bytes", _is_count),
        "bandwidth_gb_per_s": _Rule("a positive number of GB/s", _is_positive, _number),
        "peak_int8_tops": _Rule("a positive number of 10¹² operations/s", _is_positive, _number),
        "peak_fp16_tflops": _Rule("a positive number of TFLOPS", _is_positive, _number),
        "peak_fp32_tflops": _Rule("a positive number of TFLOPS", _is_positive, _number),
        "power_modes": _Rule("one table or more", _is_list_of_tables, _power_modes),
        "source": _Rule(
            "an address that begins with https://",
            lambda value: isinstance(value, str) and value.startswith("https://"),
        ),
        "estimated": _Rule(
            f"a list of {_either(list(_FIGURES))}, each once", _is_subset(_FIGURES), _names
        ),
    },
    PowerMode: {
        "name": _TEXT,
        "watts": _Rule("a positive number of watts", _is_positive, _number),
        "scale": _Rule("a share above 0 and up to 1", _is_share, _number),
    },
}
