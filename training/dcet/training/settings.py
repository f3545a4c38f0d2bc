"""Settings: frozen dataclasses whose fields are checked against their types and ranges.

A field's annotation is its whole specification: `epochs: Count` is a whole number of at least 1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from dcet.runtime.errors import ConfigError
from dcet.runtime.files import read_json


class Range(NamedTuple):
    """The values that a number may have, both ends included."""

    low: float
    high: float = math.inf

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"of at least {self.low}"
        return f"from {self.low} to {self.high}"


Count = Annotated[int, Range(1)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
Share = Annotated[float, Range(0, 1)]
Weight = Annotated[float, Range(0)]
Positive = Annotated[float, Range(1e-9)]

NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    bool: "true or false",
    NoneType: "null",
    Any: "any value",
}


class Settings:
    """The base of all settings. Making one raises ConfigError where a value is not possible."""

    __slots__ = ()

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for name in field_names(type(self)):
            value = getattr(self, name)
            if not _fits(value, hints[name]):
                raise ConfigError(f"{name}: expected {_expected(hints[name])}, got {value!r}")


S = TypeVar("S", bound=Settings)


def field_names(kind: type[Settings]) -> list[str]:
    """List the settings of a kind, which is a dataclass."""
    return [field.name for field in fields(kind)]  # type: ignore[arg-type]


def read_settings(file: Path | None) -> dict[str, Any]:
    """Read settings by name from a JSON file; none where no file is given. Raises ConfigError."""
    if file is None:
        return {}
    try:
        value = read_json(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{file}: expected a JSON object with settings by name, got {value!r}")
    return value


def settings_from(kind: type[S], values: Mapping[str, Any], source: str) -> S:
    """Make settings of a JSON object. Raises ConfigError, which names the `source`."""
    known = field_names(kind)
    if unknown := [name for name in values if name not in known]:
        raise ConfigError(
            f"{source}: unknown setting {', '.join(unknown)}; expected some of {', '.join(known)}"
        )
    hints = get_type_hints(kind)
    try:
        return kind(**{name: _made(hints[name], value) for name, value in values.items()})
    except TypeError as error:  # one that has no default is missing
        raise ConfigError(f"{source}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def _made(hint: Any, value: Any) -> Any:
    """Make settings of an object where settings are asked for; other values stay."""
    if isinstance(hint, type) and issubclass(hint, Settings) and isinstance(value, Mapping):
        return settings_from(hint, value, hint.__name__)
    return value


def _fits(value: Any, hint: Any) -> bool:
    kind, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if kind is Annotated:
        low, high = inner[1]
        return _fits(value, inner[0]) and low <= value <= high
    if kind in (Union, UnionType):
        return any(_fits(value, option) for option in inner)
    if kind is Sequence:
        return isinstance(value, list | tuple) and all(_fits(item, inner[0]) for item in value)
    if kind is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(name, inner[0]) and _fits(item, inner[1]) for name, item in value.items()
        )
    if hint in (int, float):
        numbers = int if hint is int else int | float
        return isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, hint)


def _expected(hint: Any) -> str:
    kind, inner = get_origin(hint), get_args(hint)
    if kind is Annotated:
        return f"{_expected(inner[0])} {inner[1]}"
    if kind in (Union, UnionType):
        return " or ".join(map(_expected, inner))
    if kind is Sequence:
        return f"a list, each item {_expected(inner[0])}"
    if kind is Mapping:
        return f"an object, each value {_expected(inner[1])}"
    return NAMES.get(hint) or f"a {hint.__name__}"
