"""The file that a memory is saved in: one file with a version and a checksum, encrypted if asked.

    dcet memory 1                      what it is, and the version of its format
    {"kind": …, "size_bytes": …}       a conversation or a speaker, and the size of the body; where
                                       it is encrypted, `salt` and `nonce`, too
    body                               a line of JSON, and behind it the arrays, one after the other
    32 bytes                           SHA-256 of all before

Both lines end with a line feed. The body's JSON holds the hash of the bundle, facts, and of each
array name, type and shape; the numbers are little-endian. There is no pickle in it.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.errors import (
    ConfigError,
    SavedMemoryDamaged,
    SavedMemoryNotFound,
    SavedMemoryTooNew,
    WrongBundle,
    WrongPassword,
)
from dcet.runtime.files import atomic_path
from dcet.runtime.sealing import NONCE_BYTES, SALT_BYTES, TAG_BYTES, opened, sealed

VERSION = 1
DTYPES = ("<f4", "<i8")
_FIRST = re.compile(rb"dcet memory ([0-9]{1,9})")
_HASH_BYTES = 32

Kind = Literal["conversation", "speaker"]


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What is in such a file: facts as JSON has them, and arrays of float32 or int64, by name."""

    kind: Kind
    bundle: str  # the hash of the bundle that the memory is of
    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


def write_saved(path: Path | str, saved: Saved, password: str | None = None) -> None:
    """Write a memory, for its owner alone to read; what was there stays until all is written.

    Raises ConfigError for what is no path or password, WriteError, or MissingExtra where there is
    nothing to encrypt with.
    """
    _check_path(path)
    body = _pack(saved)
    head: dict[str, Any] = {"kind": saved.kind, "size_bytes": len(body)}
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    if password is not None:
        head = {"kind": saved.kind, "size_bytes": len(body) + TAG_BYTES}
        head |= {"salt": salt.hex(), "nonce": nonce.hex()}
    top = b"dcet memory %d\n" % VERSION + json.dumps(head).encode() + b"\n"
    if password is not None:
        body = sealed(body, password, salt, nonce, top)
    with atomic_path(path) as temporary:
        temporary.touch(mode=0o600)
        with temporary.open("wb") as file:
            for part in (top, body, hashlib.sha256(top + body).digest()):
                file.write(part)


def read_saved(path: Path | str, kind: Kind, bundle: str, password: str | None = None) -> Saved:
    """Read a memory of this kind and this bundle. Raises the SavedMemoryError that says what is
    wrong with it, ConfigError for what is no path or password, or MissingExtra.
    """
    _check_path(path)
    data = _read(Path(path))
    first, _, rest = data.partition(b"\n")
    version = _FIRST.fullmatch(first)
    if version is None:
        raise SavedMemoryDamaged(
            f"{path}: expected a file that Conversation.save or export_speaker wrote, got another; "
            "give the path of one"
        )
    if int(version[1]) > VERSION:
        raise SavedMemoryTooNew(
            f"{path}: expected a memory of version {VERSION}, got version {int(version[1])}; "
            "update dcet"
        )
    second, _, _ = rest.partition(b"\n")
    top = data[: len(first) + len(second) + 2]
    head = _parse(second, path)
    body = _checked_body(data, top, head, path)
    if head.get("kind") != kind:
        raise SavedMemoryDamaged(
            f"{path}: expected the memory of a {kind}, got that of a {head.get('kind')}; "
            "Conversation.restore reads conversations, import_speaker speakers"
        )
    is_encrypted = "salt" in head
    if is_encrypted != (password is not None):
        expected, got = ("a password", "none") if is_encrypted else ("no password", "one")
        raise WrongPassword(
            f"{path}: expected {expected}, got {got}: the file is "
            f"{'' if is_encrypted else 'not '}encrypted; "
            f"{'give password=…' if is_encrypted else 'leave it out if you trust the file'}"
        )
    if password is not None:
        salt, nonce = (_hex(head, name, path) for name in ("salt", "nonce"))
        body = opened(body, password, salt, nonce, top, str(path))
    saved = _unpack(kind, body, path)
    if saved.bundle != bundle:
        raise WrongBundle(
            f"{path}: expected the memory of a conversation on this bundle ({bundle[:16]}), got "
            f"one on another ({saved.bundle[:16]}); open the bundle that it was saved with"
        )
    return saved


def _checked_body(data: bytes, top: bytes, head: Mapping[str, Any], path: Path | str) -> bytes:
    """Return the body of a file that is whole."""
    size_bytes = head.get("size_bytes")
    if not isinstance(size_bytes, int) or size_bytes < 0:
        raise _damaged(path, "its size")
    expected = len(top) + size_bytes + _HASH_BYTES
    if len(data) < expected:
        raise SavedMemoryDamaged(
            f"{path}: expected {expected} bytes, got {len(data)}: the file was cut short; "
            "use an earlier one"
        )
    whole, checksum = data[:-_HASH_BYTES], data[-_HASH_BYTES:]
    if len(data) > expected or hashlib.sha256(whole).digest() != checksum:
        raise _damaged(path, "its checksum")
    return whole[len(top) :]


def _pack(saved: Saved) -> bytes:
    arrays = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        for name, array in saved.arrays.items()
    }
    table = [
        {"name": name, "dtype": array.dtype.str, "shape": array.shape}
        for name, array in arrays.items()
    ]
    head = {"bundle": saved.bundle, "facts": dict(saved.facts), "arrays": table}
    return b"".join(
        [json.dumps(head).encode(), b"\n", *(array.tobytes() for array in arrays.values())]
    )


def _unpack(kind: Kind, body: bytes, path: Path | str) -> Saved:
    """Read the body again, whatever may be in it."""
    line, _, _ = body.partition(b"\n")
    head = _parse(line, path)
    arrays: dict[str, NDArray[Any]] = {}
    at = len(line) + 1
    try:
        for row in head["arrays"]:
            name, dtype, shape = row["name"], row["dtype"], tuple(row["shape"])
            if not isinstance(name, str):
                raise _damaged(path, f"the name {name!r} of an array")
            if dtype not in DTYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
                raise _damaged(path, f"the type of {name!r}")
            count = int(np.prod(shape, dtype=object))
            array = np.frombuffer(body, dtype, count, at).reshape(shape)
            arrays[name] = array.astype(array.dtype.newbyteorder("="))
            at += array.nbytes
        facts, bundle = head["facts"], head["bundle"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(path, f"its table of contents ({error})") from error
    if at != len(body) or not isinstance(facts, dict) or not isinstance(bundle, str):
        raise _damaged(path, "its contents")
    return Saved(kind, bundle, facts, arrays)


def _check_path(path: object) -> None:
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"path: expected a str or a Path, got {type(path).__name__}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SavedMemoryNotFound(
            f"{path}: expected a saved memory that can be read: {error.strerror or error}; "
            "check the path"
        ) from error


def _parse(line: bytes, path: Path | str) -> dict[str, Any]:
    try:
        head = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header") from error
    if not isinstance(head, dict):
        raise _damaged(path, "its header")
    return head


def _hex(head: Mapping[str, Any], name: str, path: Path | str) -> bytes:
    try:
        return bytes.fromhex(head[name])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"its {name}") from error


def _damaged(path: Path | str, what: str) -> SavedMemoryDamaged:
    return SavedMemoryDamaged(
        f"{path}: expected a saved memory as it was written, but {what} does not fit: it was "
        "changed or damaged; use an earlier one"
    )
