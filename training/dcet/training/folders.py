"""Folders that appear whole or not at all."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from dcet.runtime.errors import WriteError


@contextlib.contextmanager
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
    except (OSError, SafetensorError) as error:
        if isinstance(error, WriteError):
            raise
        raise WriteError(
            f"could not write {folder}: {error}. What was there before is untouched; "
            "free some space or choose another place"
        ) from error
