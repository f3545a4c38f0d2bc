"""A bundle, opened: its files are those that were written, or it does not open."""

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dcet.runtime.checks import check_manifest, check_weights_inside
from dcet.runtime.container import Container, check_name, open_container
from dcet.runtime.engines import Engine, open_engine
from dcet.runtime.errors import (
    BundleError,
    BundleHashMismatch,
    BundleManifestError,
    BundleMissingFile,
    BundleTruncated,
    BundleUnlistedFile,
)
from dcet.runtime.manifest import FileRecord, Manifest

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MANIFEST = "manifest.json"


class Bundle:
    """One exported model. Conversations on one bundle share its engine and nothing else.

    path: where it lies
    manifest: what it says about itself
    sha256: hash of manifest.json, which holds the hashes of all other files
    """

    def __init__(self, path: Path, container: Container, manifest: Manifest, sha256: str) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = sha256
        self._container = container
        self._engines: dict[str, Engine] = {}
        self._opening = threading.Lock()

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a directory or a stored zip and verify all of it; no code of it runs.

        Raises the BundleError that says what is wrong with it.
        """
        path = Path(path)
        container = open_container(path)
        if MANIFEST not in container.sizes_bytes:
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
        bundle._check_files()
        return bundle

    def read(self, name: str) -> bytes:
        """The bytes of a file, checked against its hash. Raises BundleError."""
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

    def engine(self, name: str = "auto") -> Engine:
        """The engine that runs the graphs: `auto`, the target's first choice that works here, or
        one by its name. Opened once.

        Raises MissingExtra, EngineError, ConfigError or BundleShapeMismatch.
        """
        with self._opening:
            if name not in self._engines:
                self._engines[name] = open_engine(self, name)
            return self._engines[name]

    def limited(self, limits: Mapping[str, int]) -> Self:
        """The same files and engines, but a turn uses only so many sounds or faces: what the
        manifest's `limit` of these modalities would say. Its hash stays that of the files.

        Raises BundleManifestError.
        """
        modalities = {
            name: replace(modality, limit=limits.get(name, modality.limit))
            for name, modality in self.manifest.modalities.items()
        }
        manifest = replace(self.manifest, modalities=modalities)
        check_manifest(manifest)
        limited = type(self)(self.path, self._container, manifest, self.sha256)
        limited._engines, limited._opening = self._engines, self._opening
        return limited

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """Truncates at `max_tokens`; what it cut off is in `Encoding.overflowing`."""
        from tokenizers import Tokenizer

        row = self.manifest.tokenizer
        data = self.read(row.file)
        try:
            tokenizer = Tokenizer.from_buffer(data)
        except Exception as error:  # tokenizers raises nothing narrower
            raise BundleManifestError(
                f"{self.path}: {row.file}: expected a file of Hugging Face tokenizers: {error}; "
                "export the bundle again"
            ) from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(row.max_tokens)
        return tokenizer

    def _check_files(self) -> None:
        """The files are exactly those listed, and every one is the one that was written."""
        present = self._container.sizes_bytes.keys() - {MANIFEST}
        listed = self.manifest.files
        for name in listed:
            check_name(name, f"{self.path}: {MANIFEST}: files")
        for name in sorted(present - listed.keys()):
            raise BundleUnlistedFile(
                f"{self.path}: {name}: expected only the files that {MANIFEST} lists; remove it, "
                "and do not use this bundle unless you know who put it there"
            )
        for name in listed:
            if name not in present:
                raise BundleMissingFile(
                    f"{self.path}: {name}: {MANIFEST} lists it, but it is not there; "
                    "copy or export the bundle again"
                )
        for name, record in listed.items():
            self._check_size(name, record)
        graphs = {graph.file for graph in self.manifest.graphs.values()}
        for name in listed:
            data = self.read(name)
            if name in graphs:
                check_weights_inside(data, f"{self.path}: {name}")

    def _check_size(self, name: str, record: FileRecord) -> None:
        size_bytes = self._container.sizes_bytes[name]
        if size_bytes != record.size_bytes:
            kind = BundleTruncated if size_bytes < record.size_bytes else BundleHashMismatch
            raise kind(
                f"{self.path}: {name}: expected {record.size_bytes} bytes, got {size_bytes}; "
                "copy or export the bundle again"
            )
