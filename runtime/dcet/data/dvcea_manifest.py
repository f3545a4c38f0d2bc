"""The manifest of a DVCEA data set: read, and checked against the files. docs/dvcea-format.md."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dcet.runtime.errors import DataError
from dcet.runtime.files import read_json
from dcet.runtime.schema_version import check_schema_version

SCHEMA_VERSION = "1.0"
MANIFEST, INDEX, SET_ASIDE = "manifest.json", "index.parquet", "set_aside.jsonl"
SEQUENCES = ("visual", "audio")
FEATURES = (*SEQUENCES, "text")
ARRAYS = ("visual", "visual_us", "audio", "audio_us", "text")
FILES = (INDEX, SET_ASIDE, *(f"{name}.npy" for name in ARRAYS))
CURE = "copy the set again, or build it again with: dcet-dvcea build"


class DvceaError(DataError):
    """A DVCEA data set cannot be used."""


class DvceaNotFound(DvceaError, FileNotFoundError):
    """There is no DVCEA data set at this path."""


class DvceaManifestError(DvceaError):
    """manifest.json cannot be read, or lacks something."""


class DvceaSchemaTooNew(DvceaError):
    """The set was written for a later major version of the format."""


class DvceaTruncated(DvceaError):
    """A file has not the size with which it was written, or is missing."""


class DvceaShapeMismatch(DvceaError):
    """An array or the index is not what the manifest says."""


class DvceaHashMismatch(DvceaError):
    """A file is not the one that was written."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the reader needs of manifest.json, and all of it."""

    folder: Path
    dtype: str
    widths: Mapping[str, int]  # of visual, audio and text
    items: Mapping[str, int]
    files: Mapping[str, tuple[int, str]]  # size in bytes, SHA-256
    value: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read and check manifest.json, and the sizes of all files.

        Raises DvceaNotFound, DvceaManifestError, DvceaSchemaTooNew or DvceaTruncated.
        """
        file = folder / MANIFEST
        if not file.is_file():
            raise DvceaNotFound(
                f"{folder}: expected a folder with {MANIFEST}, as `dcet-dvcea build` writes"
            )
        try:
            value = read_json(file)
        except (OSError, ValueError) as error:
            raise DvceaManifestError(f"{file}: cannot be read as JSON ({error}); {CURE}") from error
        check_schema_version(
            value,
            SCHEMA_VERSION,
            file,
            CURE,
            damaged=DvceaManifestError,
            too_new=DvceaSchemaTooNew,
        )
        try:
            made = cls(
                folder,
                _one_of(value["dtype"], ("float32", "float16")),
                {name: int(value["arrays"][name]["width"]) for name in FEATURES},
                {name: int(value["arrays"][name]["items"]) for name in FEATURES},
                {
                    name: (int(value["files"][name]["size_bytes"]), value["files"][name]["sha256"])
                    for name in FILES
                },
                value,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DvceaManifestError(
                f"{file}: {type(error).__name__} {error}: expected the keys of "
                f"docs/dvcea-format.md; {CURE}"
            ) from error
        made._check_sizes()
        return made

    @property
    def utterances(self) -> int:
        """The number of rows that the index has."""
        return int(self.value["counts"]["utterances"])

    def verify(self) -> None:
        """Raise DvceaHashMismatch where a file is not the one that was written."""
        for name, (_, expected) in self.files.items():
            with (self.folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected:
                raise DvceaHashMismatch(
                    f"{self.folder / name}: expected SHA-256 {expected}, got {found}; {CURE}"
                )

    def _check_sizes(self) -> None:
        for name, (expected, _) in self.files.items():
            try:
                size = (self.folder / name).stat().st_size
            except OSError as error:
                raise DvceaTruncated(f"{self.folder / name}: {error.strerror}; {CURE}") from error
            if size != expected:
                raise DvceaTruncated(
                    f"{self.folder / name}: expected {expected} bytes, got {size}; {CURE}"
                )


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")
    return str(value)
