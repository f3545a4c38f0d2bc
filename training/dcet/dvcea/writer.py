"""Writes a DVCEA data set: all of it or nothing, in as little memory as one utterance needs.

The same utterances give the same bytes. docs/dvcea-format.md has the format.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from dcet.data.dvcea import COLUMNS, PLACES, DvceaUtterance
from dcet.data.dvcea_manifest import (
    ARRAYS,
    FEATURES,
    FILES,
    INDEX,
    MANIFEST,
    SCHEMA_VERSION,
    SEQUENCES,
    SET_ASIDE,
    DvceaError,
)
from dcet.runtime.extras import need
from dcet.runtime.files import atomic_folder
from dcet.runtime.labels import EMOTIONS

ROWS_AT_ONCE = 4096  # of the index


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the manifest says of a set besides what is counted; docs/dvcea-format.md."""

    name: str
    dtype: str = "float32"
    widths: Mapping[str, int]  # of visual, audio and text
    encoders: Mapping[str, Any] = field(default_factory=lambda: dict.fromkeys(FEATURES))
    isolation: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    toolchain: Mapping[str, str] = field(default_factory=dict)


def write_dvcea(
    folder: Path,
    utterances: Iterable[DvceaUtterance],
    about: About,
    set_aside: Iterable[Mapping[str, Any]] = (),
) -> Mapping[str, Any]:
    """Write a set, those of a dialogue in one run; what was at `folder` stays until it is complete.

    set_aside: for each clip that is not among them, what docs/dvcea-format.md names
    returns the manifest

    Raises DvceaError where an utterance cannot be written, or WriteError.
    """
    with atomic_folder(folder) as temporary:
        with ExitStack() as stack:
            writer = _Writer(temporary, about, stack)
            for utterance in utterances:
                writer.add(utterance)
            writer.finish()
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in set_aside)
        (temporary / SET_ASIDE).write_text(text, encoding="utf-8", errors="backslashreplace")
        manifest = _manifest(temporary, writer, about, text.count("\n"))
        said = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (temporary / MANIFEST).write_text(said, encoding="utf-8", errors="backslashreplace")
    return manifest


class _Writer:
    """The arrays and the index, to which utterances are appended."""

    def __init__(self, folder: Path, about: About, stack: ExitStack) -> None:
        self._pyarrow = need("pyarrow", extra="dvcea")
        parquet = need("pyarrow.parquet", extra="dvcea")
        self._arrays = {
            name: stack.enter_context(_Appended(folder / f"{name}.npy", *_form(name, about)))
            for name in ARRAYS
        }
        types = {
            name: getattr(self._pyarrow, kind if kind != "float" else "float32")()
            for name, kind in COLUMNS.items()
        }
        self._schema = self._pyarrow.schema(list(types.items()))
        self._index = stack.enter_context(parquet.ParquetWriter(folder / INDEX, self._schema))
        self._rows: list[dict[str, Any]] = []
        self._last: DvceaUtterance | None = None
        self._dialogues: set[tuple[str, str]] = set()
        self.splits: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"utterances": 0, "dialogues": 0, "emotions": dict.fromkeys(EMOTIONS, 0)}
        )

    @property
    def items(self) -> dict[str, int]:
        return {name: self._arrays[name].items for name in FEATURES}

    def add(self, utterance: DvceaUtterance) -> None:
        self._count(utterance)
        row = {name: getattr(utterance, name) for name in COLUMNS if name not in PLACES}
        for name in SEQUENCES:
            features, times = getattr(utterance, name), getattr(utterance, f"{name}_us")
            row[f"{name}_start"] = self._arrays[name].items
            row[f"{name}_count"] = 0 if features is None else len(features)
            if features is not None:
                _check_times(times, len(features), f"{utterance.where}: {name}_us")
                self._arrays[name].append(features, utterance.where)
                self._arrays[f"{name}_us"].append(times, utterance.where)
        row["text_row"] = -1
        if utterance.text_features is not None:
            row["text_row"] = self._arrays["text"].items
            self._arrays["text"].append(utterance.text_features[None], utterance.where)
        self._rows.append(row)
        if len(self._rows) == ROWS_AT_ONCE:
            self._flush()

    def finish(self) -> None:
        if self._rows:
            self._flush()

    def _flush(self) -> None:
        self._index.write_table(self._pyarrow.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()

    def _count(self, utterance: DvceaUtterance) -> None:
        last, split = self._last, self.splits[utterance.split]
        is_new = last is None or (last.split, last.dialogue) != (
            utterance.split,
            utterance.dialogue,
        )
        if is_new:
            name = (utterance.split, utterance.dialogue)
            if name in self._dialogues:
                raise DvceaError(
                    f"{utterance.where}: expected all utterances of a dialogue next to each other, "
                    "got some of another in between; sort them"
                )
            self._dialogues.add(name)
            split["dialogues"] += 1
        elif last is not None and utterance.utterance <= last.utterance:
            raise DvceaError(
                f"{utterance.where}: expected a number above {last.utterance}, that of the "
                "utterance before; sort them"
            )
        split["utterances"] += 1
        if utterance.emotion is not None:
            split["emotions"][utterance.emotion] += 1
        self._last = utterance


class _Appended:
    """A file of NumPy's format 1.0 that grows; the header is set right at the end."""

    def __init__(self, path: Path, dtype: str, row: tuple[int, ...]) -> None:
        self._path, self._dtype, self._row = path, np.dtype(dtype), row
        self.items = 0

    def __enter__(self) -> Self:
        self._file: BinaryIO = self._path.open("wb")
        self._write_header()
        return self

    def append(self, array: NDArray[Any], where: str) -> None:
        if array.shape[1:] != self._row or len(array) == 0:
            raise DvceaError(
                f"{where}: {self._path.stem}: expected features of shape (n, *{self._row}) with n "
                f"of at least 1, got {array.shape}; a modality that is missing is None"
            )
        with np.errstate(over="ignore"):  # what overflows is found to be infinite
            stored = np.ascontiguousarray(array, self._dtype)
        if not np.isfinite(stored).all():
            raise DvceaError(
                f"{where}: {self._path.stem}: expected finite features in {self._dtype}, got NaN, "
                "infinity, or numbers too large for it; leave the modality out"
            )
        self._file.write(stored.data)
        self.items += len(stored)

    def __exit__(self, *_error: object) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        # NumPy leaves room for the first dimension to grow, so that every header has one length.
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.items, *self._row),
            },
        )


def _form(name: str, about: About) -> tuple[str, tuple[int, ...]]:
    feature = name.removesuffix("_us")
    return (about.dtype, (about.widths[feature],)) if name == feature else ("int64", ())


def _check_times(times: NDArray[np.int64] | None, count: int, where: str) -> None:
    if times is None or times.shape != (count,) or bool((np.diff(times) <= 0).any()):
        raise DvceaError(f"{where}: expected {count} increasing times, a time for each item")


def _manifest(folder: Path, writer: _Writer, about: About, set_aside: int) -> dict[str, Any]:
    splits = dict(writer.splits)
    return {
        "schema_version": SCHEMA_VERSION,
        "name": about.name,
        "dtype": about.dtype,
        "arrays": {
            name: {"items": count, "width": about.widths[name]}
            for name, count in writer.items.items()
        },
        "encoders": dict(about.encoders),
        "isolation": dict(about.isolation),
        "counts": {
            **{
                name: sum(split[name] for split in splits.values())
                for name in ("utterances", "dialogues")
            },
            "set_aside": set_aside,
            "splits": splits,
        },
        "settings": dict(about.settings),
        "licences": dict(about.licences),
        "toolchain": dict(about.toolchain),
        "files": {name: _record(folder / name) for name in FILES},
    }


def _record(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "size_bytes": path.stat().st_size}
