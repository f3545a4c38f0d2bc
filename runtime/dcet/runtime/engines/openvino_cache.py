"""A cache of what OpenVINO compiled for a GPU or an NPU, which takes seconds or more.

It is made of the bundle alone, and lies in the user's cache, by bundle and engine. What is compiled
for the CPU is not kept: that would save half a second and take as much space as the bundle.
"""

import contextlib
from pathlib import Path

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.engines.device_cache import cache_folders, hash_file
from dcet.runtime.files import atomic_path


class OpenvinoCache:
    """Folders for OpenVINO to keep what it compiles in, or none where nothing can be kept.

    OpenVINO 2026.4 takes a file whose weights were changed as it is. So each has its hash next to
    it, and one that lacks it, or differs, is removed before OpenVINO sees it.
    """

    def __init__(self, bundle: BundleContents, engine: str) -> None:
        self._folder: Path | None = None
        for place in cache_folders(bundle)[-1:]:
            folder = place / engine
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for blob in folder.rglob("*.blob"):
                    if not _is_as_written(blob):
                        blob.unlink(missing_ok=True)
            except OSError:
                continue  # it compiles each time
            self._folder = folder

    def setting(self, precision: str) -> dict[str, str]:
        """Return the setting for `compile_model`, with a folder for each precision: OpenVINO does
        not tell them apart in what it finds."""
        return {} if self._folder is None else {"CACHE_DIR": str(self._folder / precision)}

    def seal(self) -> None:
        """Write down the hashes of what was compiled."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):  # what has no hash is compiled again
            for blob in self._folder.rglob("*.blob"):
                if not _seal_of(blob).exists():
                    with atomic_path(_seal_of(blob)) as temporary:
                        temporary.write_text(hash_file(blob).sha256, encoding="ascii")


def _is_as_written(blob: Path) -> bool:
    seal = _seal_of(blob)
    return seal.exists() and seal.read_text(encoding="ascii") == hash_file(blob).sha256


def _seal_of(blob: Path) -> Path:
    return blob.with_suffix(".sha256")
