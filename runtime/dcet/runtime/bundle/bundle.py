"""A bundle, opened: its verified contents, its tokenizer, and the engines that run its graphs."""

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dcet.runtime.bundle.checks import check_manifest
from dcet.runtime.bundle.container import Container
from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.bundle.manifest import Manifest
from dcet.runtime.engines.engine import Engine
from dcet.runtime.engines.registry import open_engine
from dcet.runtime.errors import BundleError, BundleManifestError
from dcet.runtime.uncopied import Uncopied

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT = Path(__file__).parents[1] / "models" / "default.dcet"


class Bundle(Uncopied, BundleContents):
    """One exported model. Conversations on one bundle share its engine and nothing else."""

    def __init__(self, path: Path, container: Container, manifest: Manifest, sha256: str) -> None:
        super().__init__(path, container, manifest, sha256)
        # By process: an engine does not outlive a fork, nor is a lock ever let go after one.
        self._engines: dict[tuple[int, str], Engine] = {}
        self._opening: dict[int, threading.Lock] = {}

    @classmethod
    def default(cls) -> Self:
        """Open the INT8 bundle that ships with the package, which is for any CPU.

        Raises the BundleError that says what is wrong with it, such as BundleNotFound where the
        package came without it, and how to get it again.
        """
        try:
            return cls.open(DEFAULT)
        except BundleError as error:
            raise type(error)(
                f"the bundle that ships with dcet cannot be used; install dcet again "
                f"(pip install --force-reinstall --no-deps dcet), or run make default-bundle in a "
                f"checkout. {error}"
            ) from error

    def engine(self, name: str = "auto") -> Engine:
        """Open an engine that runs the graphs, once in each process: by its name, or with `auto`
        the target's first choice that works here.

        Raises MissingExtra, EngineError, ConfigError or BundleShapeMismatch.
        """
        process = os.getpid()
        with self._opening.setdefault(process, threading.Lock()):
            if (process, name) not in self._engines:
                self._engines[process, name] = open_engine(self, name)
            return self._engines[process, name]

    def limited(self, limits: Mapping[str, int]) -> Self:
        """Make a bundle of the same files and engines of which a turn uses only so many windows of
        audio, or faces, as the manifest's `limit` would say. Its hash stays that of the files.

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
        """The bundle's tokenizer. It cuts at `max_tokens` and keeps the rest in `overflowing`."""
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
