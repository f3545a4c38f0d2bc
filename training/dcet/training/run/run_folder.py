"""The folder of a run: its configuration and its log."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcet.runtime.cli.paths import why_no_folder
from dcet.runtime.errors import ConfigError, WriteError
from dcet.runtime.files import atomic_path, read_json, write_json
from dcet.training.run.run_config import RunConfig


def check_run(run: Path, config: RunConfig) -> None:
    """Check, before any work is done, that `run` can be begun or resumed.

    Raises ConfigError for a run begun with another configuration, or whose config.json cannot be
    read, and WriteError for a folder that cannot be made.
    """
    if (run / "config.json").exists():
        _check_config(run, config)
        return
    if reason := why_no_folder(run):
        raise WriteError(f"{run}: the folder cannot be made ({reason})")


def claim(run: Path, config: RunConfig) -> None:
    """Make the folder of a new run, with its configuration in it. Raises as `check_run`."""
    check_run(run, config)
    if (run / "config.json").exists():
        return
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"{run}: the folder cannot be made ({error.strerror}); choose another place"
        ) from error
    write_json(run / "config.json", dataclasses.asdict(config))


def _check_config(run: Path, config: RunConfig) -> None:
    # A run is as old as its settings: one that it does not know had no effect in it.
    begun = {**_defaults(config), **read_config(run)}
    asked = json.loads(json.dumps(dataclasses.asdict(config)))
    different = [name for name in asked if begun.get(name) != asked[name]]
    different += [name for name in begun if name not in asked]
    if different:
        raise ConfigError(
            f"{run} was begun with another {', '.join(different)}; resume it with the same "
            "options or choose a new --output"
        )


def _defaults(config: RunConfig) -> dict[str, Any]:
    """Return the settings with a plain default, as JSON has them."""
    plain = {}
    for field in dataclasses.fields(config):
        if field.default_factory is dataclasses.MISSING:
            default = field.default
        else:
            default = field.default_factory()
        if isinstance(default, str | int | float | tuple | dict | None):
            plain[field.name] = default
    defaults: dict[str, Any] = json.loads(json.dumps(plain))
    return defaults


def read_config(run: Path) -> dict[str, Any]:
    """Read the configuration that a run was begun with. Raises ConfigError."""
    file = run / "config.json"
    try:
        config = read_json(file)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{file}: expected the configuration of a run, but it cannot be read ({error}); "
            "give another folder"
        ) from error
    if not isinstance(config, dict):
        raise ConfigError(
            f"{file}: expected the configuration of a run, a JSON object, got {config!r:.80}; "
            "give another folder"
        )
    return config


def log(file: Path, epoch: int, figures: Mapping[str, Any]) -> None:
    """Write the line of an epoch, counted from 0, in the place of those from there on."""
    lines = file.read_text(encoding="utf-8").splitlines()[:epoch] if file.is_file() else []
    lines.append(json.dumps({"epoch": epoch + 1, **figures}))
    with atomic_path(file) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
