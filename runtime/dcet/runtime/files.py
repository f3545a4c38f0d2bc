"""Files and folders appear whole or not at all; what a killed process left is removed."""

import contextlib
import errno
import json
import math
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from dcet.runtime.errors import DcetError, WriteError

PREFIX, SUFFIX = ".dcet-", ".partial"  # of temporary folders


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path; what is written there takes the place of `path` on success.

    When the block fails nothing of it stays, and what was at `path` before is untouched. A link is
    followed: the file that it points to is replaced. A device or a FIFO stays what it is, and is
    written to when the block succeeds. An OSError, such as a full disk, becomes a WriteError.
    """
    path = Path(path)
    with write_errors(path):
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder, expected a file")
        is_stream = mode is not None and not stat.S_ISREG(mode)
        target = path if is_stream else Path(os.path.realpath(path))
        with temporary_folder(None if is_stream else target.parent) as folder:
            temporary = folder / path.name
            yield temporary
            if is_stream:
                with temporary.open("rb") as source, path.open("wb") as stream:
                    shutil.copyfileobj(source, stream)
                return
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))  # what was private stays so
            temporary.replace(target)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; it takes the place of `folder` when the block succeeds.

    A link is followed. A folder cannot be replaced in one step: the old one is moved aside first,
    and moved back should the second step fail, or by the next writer should the process be killed
    between the two. Raises WriteError where the system refuses, a full disk for example.
    """
    with write_errors(folder):
        target = Path(os.path.realpath(folder))
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file, expected a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(target.parent) as place:
            new = place / "new"
            new.mkdir()
            yield new
            try:
                if target.exists():
                    _old(place).mkdir()
                    target.rename(_old(place) / target.name)
                new.rename(target)
            finally:
                _restore_old(place)


@contextmanager
def temporary_folder(place: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder in `place`, which is removed at the end.

    place: by default the system's folder for temporary files

    What killed processes left in `place` is removed first. Raises OSError.
    """
    place = place or Path(tempfile.gettempdir())
    _remove_leftovers(place)
    while True:
        with (
            tempfile.TemporaryDirectory(prefix=PREFIX, suffix=SUFFIX, dir=place) as folder,
            contextlib.ExitStack() as stack,
        ):
            with contextlib.suppress(OSError):  # not every file system has locks
                stack.enter_context(_locked(Path(folder), wait=True))
            if Path(folder).exists():  # not taken for a leftover before it was locked
                yield Path(folder)
                return


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON that a person can read. Raises WriteError, or ValueError for NaN and infinity."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        # A lone surrogate, as in names of files that are not UTF-8, becomes its escape in JSON.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: Path | str) -> Any:
    """Read a file of JSON. Raises OSError, or ValueError for what is no JSON: NaN and infinity too,
    and what is nested too deeply to be read.
    """
    text = Path(path).read_text(encoding="utf-8-sig")
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the block, such as a full disk, into a WriteError about `path`."""
    try:
        yield
    except DcetError:
        raise  # some of them are OSErrors too, and already say what went wrong
    except OSError as error:
        raise WriteError(
            f"could not write {path}: {error.strerror or error}. Nothing was left behind; "
            "free some space or choose another place, and write it again"
        ) from error


def _mode(path: Path) -> int | None:
    """Return type and permissions of `path`, or of where its links lead; None for nothing."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


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


def _old(place: Path) -> Path:
    """Return the place in a temporary folder where the folder that is replaced waits."""
    return place / "old"


def _restore_old(place: Path) -> None:
    """Move back a folder that was moved aside but not replaced."""
    if _old(place).is_dir():
        for old in _old(place).iterdir():
            if not (place.parent / old.name).exists():
                old.rename(place.parent / old.name)


def _remove_leftovers(place: Path) -> None:
    """Remove the temporary folders of processes that were killed: no one holds their locks."""
    for folder in place.glob(f"{PREFIX}*{SUFFIX}"):
        with contextlib.suppress(OSError), _locked(folder, wait=False):
            _restore_old(folder)
            shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of a folder, which the system lets go of when the process ends.

    Raises OSError where there are no locks, and unless told to `wait` where another holds it.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "folders have no locks")
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
