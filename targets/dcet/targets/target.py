"""A target: one TOML file that says what a device runs and how a bundle for it is made.

TargetError         a target file cannot be used
└── UnknownTarget   no target has this name
"""

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dcet.runtime.engines import ENGINES
from dcet.runtime.errors import DcetError

DEVICES = Path(__file__).with_name("devices")
GRAPHS = ("text", "audio", "face", "step")
PRECISIONS = ("fp32", "fp16", "int8")


class TargetError(DcetError, ValueError):
    """A target file cannot be used."""


class UnknownTarget(TargetError):
    """No target has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one device runs. A key whose value has a unit carries the unit in its name."""

    name: str
    description: str
    engines: tuple[str, ...]  # the ladder: best first
    opset: int  # ONNX operator set of the graphs
    ir_version: int  # ONNX file format version of the graphs
    precision: Mapping[str, str]  # by graph
    deadline_ms: float  # from the call of a turn to its estimate
    openvino_ir: bool  # the bundle also holds the graphs as OpenVINO IR


def list_targets() -> tuple[Target, ...]:
    """Every target that ships with DCET, by name."""
    return tuple(load_target(path) for path in sorted(DEVICES.glob("*.toml")))


def load_target(name_or_path: str | Path) -> Target:
    """Read a target that ships with DCET by its name, or one of your own by the path of its .toml.

    Raises UnknownTarget for a name that no target has, TargetError for a file that cannot be used.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml"):
        return _read(Path(name_or_path))
    names = [path.stem for path in sorted(DEVICES.glob("*.toml"))]
    if name_or_path not in names:
        near = get_close_matches(name_or_path, names) or names
        raise UnknownTarget(
            f"there is no target {name_or_path!r}; did you mean {_either(near)}? "
            "For a device of your own, give the path of its .toml file"
        )
    return _read(DEVICES / f"{name_or_path}.toml")


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

    for key in row.keys() - _RULES.keys():
        near = get_close_matches(key, _RULES, n=1)
        cure = f"write {near[0]}" if near else f"remove it; the keys are {', '.join(_RULES)}"
        raise TargetError(f"{path}: {key} is not a key of a target; {cure}")
    for key, (expected, holds) in _RULES.items():
        if key not in row:
            raise TargetError(f"{path}: {key} is missing; add it, {expected}")
        if not holds(row[key]):
            raise TargetError(f"{path}: {key}: expected {expected}, got {row[key]!r}; correct it")
    return Target(
        **{**row, "engines": tuple(row["engines"]), "deadline_ms": float(row["deadline_ms"])}
    )


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _is_name(value: Any) -> bool:
    # Names become parts of file names.
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) is not None


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_duration(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0


def _is_ladder(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(engine in list(ENGINES) for engine in value)
        and len(set(value)) == len(value)
    )


def _is_precision(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == set(GRAPHS)
        and all(precision in PRECISIONS for precision in value.values())
    )


# For each key: what a message says was expected, and whether a value is that.
_RULES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("lower-case letters, digits and dashes", _is_name),
    "description": ("a line of text", lambda value: isinstance(value, str) and value != ""),
    "engines": (f"a list of {_either([*ENGINES])}, best first, each once", _is_ladder),
    "opset": ("a positive whole number", _is_count),
    "ir_version": ("a positive whole number", _is_count),
    "precision": (
        f"a table that gives {', '.join(GRAPHS)} one of {', '.join(PRECISIONS)} each",
        _is_precision,
    ),
    "deadline_ms": ("a positive number of milliseconds", _is_duration),
    "openvino_ir": ("true or false", lambda value: isinstance(value, bool)),
}
