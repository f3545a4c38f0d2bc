"""The verified contents of a bundle: its files are those that were written, or it does not open."""

import hashlib
import json
import os
from pathlib import Path
from typing import Self

from dcet.runtime.bundle.checks import check_manifest, check_weights_inside
from dcet.runtime.bundle.container import Container, check_name, open_container
from dcet.runtime.bundle.manifest import FileRecord, Manifest
from dcet.runtime.errors import (
    BundleError,
    BundleHashMismatch,
    BundleManifestError,
    BundleMissingFile,
    BundleTruncated,
    BundleUnlistedFile,
    ConfigError,
)

MANIFEST = "manifest.json"


class BundleContents:
    """The part of a bundle that an engine reads.

    path: where it lies
    manifest: what it says about itself
    sha256: hash of manifest.json, which holds the hashes of all other files
    """

    def __init__(self, path: Path, container: Container, manifest: Manifest, sha256: str) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = sha256
        self._container = container

    @classmethod
    def open(cls, path: Path | str, *, verified: str | None = None) -> Self:
        """Open a directory or a stored zip and verify all of it; no code of it runs.

        verified: the `sha256` of a bundle that was verified as a whole a moment ago; of the same
            bundle, each file is verified as it is read

        Raises the BundleError that says what is wrong with it, or ConfigError for what is no path.
        """
        if not isinstance(path, str | os.PathLike):
            raise ConfigError(f"path: expected a str or a Path, got {type(path).__name__}")
        path = Path(path)
        container = open_container(path)
        if MANIFEST not in container:
            raise BundleManifestError(
                f"{path}: expected {MANIFEST} at the top, got no such file; "
                "make a bundle with: dcet-export --target cpu"
            )
        data = container.read(MANIFEST)
        try:
            manifest = Manifest.from_json(json.loads(data))
            check_manifest(manifest)
        except BundleError as error:
            raise type(error)(f"{path}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise BundleManifestError(
                f"{path}: {MANIFEST}: expected JSON: {error}; export the bundle again"
            ) from error
        bundle = cls(path, container, manifest, hashlib.sha256(data).hexdigest())
        if bundle.sha256 != verified:
            bundle._check_files()
        return bundle

    def read(self, name: str) -> bytes:
        """Return the bytes of a file, checked against its hash. Raises BundleError."""
        record = self.manifest.files.get(name)
        if record is None:
            raise BundleMissingFile(
                f"{self.path}: expected one of the files that {MANIFEST} lists, got {name!r}"
            )
        data = self._container.read(name)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 != record.sha256:
            raise BundleHashMismatch(
                f"{self.path}: {name}: expected SHA-256 {record.sha256}, got {sha256}; "
                "the file was changed or damaged after the export, so copy or export it again"
            )
        return data

    def _check_files(self) -> None:
        """Check that the files are exactly those listed, and each is the one that was written."""
        listed = self.manifest.files
        for name in listed:
            check_name(name, f"{self.path}: {MANIFEST}: files")
        sizes_bytes: dict[str, int] = {}
        for name, size_bytes in self._container.files(listed.keys()):
            if name != MANIFEST and name not in listed:  # before all the others are looked at
                raise BundleUnlistedFile(
                    f"{self.path}: {name}: expected only the files that {MANIFEST} lists; remove "
                    "it, and do not use this bundle unless you know who put it there"
                )
            sizes_bytes[name] = size_bytes
        for name in listed:
            if name not in sizes_bytes:
                raise BundleMissingFile(
                    f"{self.path}: {name}: {MANIFEST} lists it, but it is not there; "
                    "copy or export the bundle again"
                )
        for name, record in listed.items():
            self._check_size(name, sizes_bytes[name], record)
        graphs = {graph.file for graph in self.manifest.graphs.values()}
        for name in listed:
            data = self.read(name)
            if name in graphs:
                check_weights_inside(data, f"{self.path}: {name}")

    def _check_size(self, name: str, size_bytes: int, record: FileRecord) -> None:
        if size_bytes != record.size_bytes:
            kind = BundleTruncated if size_bytes < record.size_bytes else BundleHashMismatch
            raise kind(
                f"{self.path}: {name}: expected {record.size_bytes} bytes, got {size_bytes}; "
                "copy or export the bundle again"
            )
