"""Files and folders appear whole or not at all."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dcet.runtime.errors import DcetError, WriteError


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` when the block succeeds.

    When the block fails nothing of it stays, and what was at `path` before is untouched. An
    OSError, such as a full disk, becomes a WriteError.
    """
    path = Path(path)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            temporary = Path(folder, path.name)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except DcetError:
        raise  # some of them are OSErrors too, and already say what went wrong
    except OSError as error:
        raise WriteError(
            f"could not write {path}: {error.strerror or error}. Nothing was left behind; "
            "free some space or choose another place, and write it again"
        ) from error


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; it takes the place of `folder` when the block succeeds.

    A folder cannot be replaced in one step: the old one is moved aside first, and moved back should
    the second step fail. Raises WriteError where the system refuses, a full disk for example.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
            new, old = Path(place, "new"), Path(place, "old")
            new.mkdir()
            yield new
            if folder.exists():
                folder.rename(old)
            try:
                new.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
    except DcetError:
        raise
    except OSError as error:
        raise WriteError(
            f"could not write {folder}: {error}. What was there before is untouched; "
            "free some space or choose another place"
        ) from error


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON that a person can read. Raises WriteError."""
    with atomic_path(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def user_cache_folder() -> Path | None:
    """Find DCET's folder in the user's cache, as the XDG base directory specification says.

    None for a user without a home folder.
    """
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base, "dcet")
    try:
        return Path.home() / ".cache" / "dcet"
    except RuntimeError:
        return None
