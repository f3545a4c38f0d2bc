"""The options of a conversation, checked before it is made."""

from dataclasses import dataclass

import numpy as np

from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import ConfigError

MAX_SPEAKERS = 4096  # each takes some 24 KB, whether they speak or not


def is_whole(value: object) -> bool:
    """Tell whether a value is a whole number, of Python or NumPy, and not a bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Options:
    """What a conversation was asked to be."""

    max_speakers: int
    bank_bytes: int
    abstain_below: float


def check_options(max_speakers: int, bank_bytes: int, abstain_below: float) -> Options:
    """Check options, and return them. Raises ConfigError."""
    if not is_whole(max_speakers) or not 1 <= max_speakers <= MAX_SPEAKERS:
        raise ConfigError(
            f"max_speakers: expected a whole number from 1 to {MAX_SPEAKERS}, got {max_speakers!r}"
        )
    if not is_whole(bank_bytes):
        raise ConfigError(f"bank_bytes: expected a whole number, got {bank_bytes!r}")
    if not _is_share(abstain_below):
        raise ConfigError(
            f"abstain_below: expected a confidence from 0 (never) to 1, got {abstain_below!r}"
        )
    return Options(int(max_speakers), int(bank_bytes), float(abstain_below))


def check_bundle(bundle: Bundle) -> None:
    """Check that a bundle is one. Raises ConfigError."""
    if not isinstance(bundle, Bundle):
        raise ConfigError(
            f"bundle: expected a Bundle, got {type(bundle).__name__}; "
            "open one with Bundle.open(path)"
        )


def check_engine(engine: Engine) -> None:
    """Check an engine, which may be a host's own. Raises ConfigError."""
    if not isinstance(engine, Engine):
        raise ConfigError(
            "engine: expected auto, the name of an engine, or an instance of a subclass of "
            f"dcet.runtime.engines.engine.Engine, got {type(engine).__name__}"
        )
    for name in ("name", "reason"):
        if not isinstance(getattr(engine, name, None), str):
            raise ConfigError(
                f"engine: expected {type(engine).__name__}.{name} to be a str; set it"
            )


def _is_share(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return 0 <= float(value) <= 1
