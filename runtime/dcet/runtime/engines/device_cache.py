"""Results of dcet-finalize for a bundle on this device: what it checked, and what it built.

CACHE/KEY/record.json and the files that the record lists: an engine that was built, or only tried,
and reproduced the golden sequences. CACHE/quarantine/KEY-REASON/ holds those that did not. CACHE is
`cache` in a bundle that is a folder, or a folder of the user's where that cannot be written or the
bundle is a zip. Reading it is the runtime's part; dcet-finalize alone writes it.
"""

import contextlib
import dataclasses
import hashlib
import json
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dcet.runtime.bundle.container import CACHE
from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.bundle.manifest import FileRecord
from dcet.runtime.errors import EngineError
from dcet.runtime.files import user_cache_folder

RECORD = "record.json"
FAILURE = "failure.json"
QUARANTINE = "quarantine"
UNKNOWN_PLATFORM: Mapping[str, str] = {}  # of an engine that failed before it could tell
FORMAT = 1  # of record.json and of what goes into a key


class Outcome(StrEnum):
    """The outcome of an engine that dcet-finalize tried."""

    BUILT = "built"  # and reproduced the golden sequences
    CHECKED = "checked"  # reproduced them, and there is nothing to build
    KEPT = "kept"  # was published by an earlier run, and is still whole
    MISSING = "missing"  # cannot work here, so that nothing was tried
    FAILED = "failed"  # raised an error
    WRONG = "wrong"  # does not reproduce the golden sequences
    CRASHED = "crashed"
    KILLED = "killed"  # by a user, or for want of memory
    HUNG = "hung"  # was not done in time
    DAMAGED = "damaged"  # was published, and changed since


# Time or memory ran out, which says nothing about what an engine computes.
LIMITS = frozenset({Outcome.KILLED, Outcome.HUNG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An engine that reproduced the golden sequences on this device."""

    format: int = FORMAT
    key: str
    engine: str  # its name in ENGINES
    platform: Mapping[str, str]  # versions, driver and device that it was built for
    created: str  # RFC 3339, UTC
    build_s: float  # 0 where nothing is built
    replay_s: float
    parity: tuple[Mapping[str, Any], ...]  # rows as in the manifest
    files: Mapping[str, FileRecord]  # what was built, and the log

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Read the record of a folder. Raises EngineError."""
        try:
            row = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            if row["format"] != FORMAT:
                raise ValueError(f"expected format {FORMAT}, got {row['format']}")
            files = {name: FileRecord(**file) for name, file in row["files"].items()}
            return cls(**{**row, "files": files, "parity": tuple(row["parity"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(
                f"{folder / RECORD}: expected a record of dcet-finalize, got: {error}; "
                "run dcet-finalize again"
            ) from error

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def cache_folders(bundle: BundleContents) -> list[Path]:
    """List the folders in which its engines may lie, the bundle's own first."""
    folders = [bundle.path / CACHE] if bundle.path.is_dir() else []
    if (user_cache := user_cache_folder()) is not None:
        folders.append(user_cache / bundle.sha256[:16])
    return folders


def cache_key(bundle: BundleContents, engine: str, platform: Mapping[str, str]) -> str:
    """Make a key that is equal where a built engine may be used: same graphs, precisions, profiles
    and platform."""
    manifest = bundle.manifest
    golden = (manifest.golden.inputs, manifest.golden.expected)
    parts = {
        "format": FORMAT,
        "engine": engine,
        "platform": dict(platform),
        "graphs": {
            id: [graph.precision, manifest.files[graph.file].sha256]
            for id, graph in manifest.graphs.items()
        },
        "golden": [manifest.files[name].sha256 for name in golden],
        "finalize": None if manifest.finalize is None else dataclasses.asdict(manifest.finalize),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def find_published(bundle: BundleContents, key: str) -> Path | None:
    """Find the folder of this key, each file the one that was published, or None.

    Raises EngineError where there is one but it is damaged.
    """
    damage: EngineError | None = None
    for cache in cache_folders(bundle):
        if (cache / key).is_dir():
            try:
                _check_published(cache / key)
            except EngineError as error:
                damage = damage or error
            else:
                return cache / key
    if damage is not None:
        raise damage
    return None


def find_built(bundle: BundleContents, engine: str, platform: Mapping[str, str]) -> Path:
    """Find the folder of what was built for this engine here.

    Raises EngineError that says why there is none, or that it is damaged.
    """
    key = cache_key(bundle, engine, platform)
    folder = find_published(bundle, key)
    if folder is None:
        raise EngineError(
            _condemned(bundle, key, by_limits=True)
            or _built_elsewhere(bundle, engine, platform)
            or f"it was not built on this device yet; run: dcet-finalize {bundle.path}"
        )
    return folder


def refuse_condemned(
    bundle: BundleContents,
    engine: str,
    platform: Callable[[], Mapping[str, str]],
    *,
    is_built: bool,
) -> None:
    """Raise EngineError where dcet-finalize found this engine wrong or broken here.

    Where time or memory ran out, there is nothing to run of an engine that is built, but nothing
    against one that is not.
    """
    if any((cache / QUARANTINE).is_dir() for cache in cache_folders(bundle)):
        unknown = cache_key(bundle, engine, UNKNOWN_PLATFORM)
        reason = _condemned(bundle, unknown, by_limits=is_built)
        if reason is None:  # or to ask for its platform might crash or hang
            key = cache_key(bundle, engine, platform())
            published = find_published(bundle, key)
            reason = None if published else _condemned(bundle, key, by_limits=is_built)
        if reason is not None:
            raise EngineError(reason)


def read_records(bundle: BundleContents) -> Iterator[Record]:
    """Read the records of all that was published here; those that cannot be read are left out."""
    for cache in cache_folders(bundle):
        for path in sorted(cache.glob(f"*/{RECORD}")):
            try:
                yield Record.read(path.parent)
            except EngineError:
                continue  # dcet-finalize says so when it gets there


def hash_file(path: Path) -> FileRecord:
    """Compute the SHA-256 and the size of a file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(sha256=sha256, size_bytes=path.stat().st_size)


def _check_published(folder: Path) -> None:
    """Raise EngineError unless the record's files are there as they were written."""
    record = Record.read(folder)
    for name, file in record.files.items():
        path = folder / name
        try:
            is_whole = stat.S_ISREG(path.lstat().st_mode) and hash_file(path) == file
        except OSError:
            is_whole = False
        if not is_whole:
            raise EngineError(
                f"{path}: expected the file that dcet-finalize wrote, with SHA-256 {file.sha256}, "
                "but it was damaged or changed; run dcet-finalize again"
            )


def _condemned(bundle: BundleContents, key: str, *, by_limits: bool) -> str | None:
    """Say why dcet-finalize gave this engine up, or None where it did not.

    by_limits: whether it also counts that time or memory ran out
    """
    for cache in cache_folders(bundle):
        for folder in sorted((cache / QUARANTINE).glob(f"{key}-*")):
            why = folder.name.removeprefix(f"{key}-")
            if not by_limits and why in LIMITS:
                continue
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                why = json.loads((folder / FAILURE).read_text(encoding="utf-8"))["message"]
            return (
                f"dcet-finalize tried it here and gave it up: {why} (see {folder}); to try it "
                f"again, run: dcet-finalize {bundle.path}"
            )
    return None


def _built_elsewhere(
    bundle: BundleContents, engine: str, platform: Mapping[str, str]
) -> str | None:
    """Say how what was built differs from what is needed here, or None where nothing was built."""
    for record in read_records(bundle):
        if record.engine == engine:
            differs = [
                f"{name} {record.platform.get(name, 'unknown')}, here {platform.get(name, 'none')}"
                for name in sorted(record.platform.keys() | platform.keys())
                if record.platform.get(name) != platform.get(name)
            ]
            return (
                f"it was built for {' and '.join(differs) or 'other graphs'}; "
                f"build it for this device: dcet-finalize {bundle.path}"
            )
    return None
