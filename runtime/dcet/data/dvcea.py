"""Reads a DVCEA data set: features of conversations on video, mapped into memory.

docs/dvcea-format.md has the format. Needs the extra `dvcea` (pyarrow) for the index.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from dcet.data.dvcea_manifest import ARRAYS, CURE, INDEX, SEQUENCES, DvceaShapeMismatch, Manifest
from dcet.runtime.extras import need

# Of each column of the index, the type of Arrow that it is written with.
COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("split", "dialogue"), "string"),
    "utterance": "int32",
    **dict.fromkeys(
        ("speaker", "emotion", "sentiment", "text", "source", "source_sha256"), "string"
    ),
    **dict.fromkeys(("part_start_us", "part_end_us", "start_us", "end_us"), "int64"),
    **dict.fromkeys(("picture_us", "sound_us"), "int64"),
    **dict.fromkeys(("visual_start", "visual_count", "audio_start", "audio_count"), "int64"),
    "text_row": "int64",
    **dict.fromkeys(("visual_quality", "audio_quality", "text_quality"), "float"),
    **dict.fromkeys(("frames", "face_frames", "track"), "int32"),
    "confidence": "float",
    "reason": "string",
}
PLACES = ("visual_start", "visual_count", "audio_start", "audio_count", "text_row")

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DvceaUtterance:
    """One utterance: what the index says of it, and its features. None where there are none.

    Features are float32 or float16 views of the mapped files: (n, width), text (width,). Times are
    int64 (n,), microseconds from the beginning of the utterance.
    """

    split: str
    dialogue: str
    utterance: int
    speaker: str
    emotion: str | None
    sentiment: str | None
    text: str | None
    source: str
    source_sha256: str
    part_start_us: int | None
    part_end_us: int | None
    start_us: int | None
    end_us: int | None
    picture_us: int
    sound_us: int
    visual_quality: float
    audio_quality: float
    text_quality: float
    frames: int
    face_frames: int
    track: int | None
    confidence: float
    reason: str
    visual: Array | None
    visual_us: Array | None
    audio: Array | None
    audio_us: Array | None
    text_features: Array | None

    @property
    def part_us(self) -> tuple[int, int] | None:
        """The part of the video that it is; None where it is all of it."""
        if self.part_start_us is None or self.part_end_us is None:
            return None
        return self.part_start_us, self.part_end_us

    @property
    def where(self) -> str:
        """Its name, for messages."""
        return f"{self.split} dialogue {self.dialogue} utterance {self.utterance}"


class Dvcea(Sequence[DvceaUtterance]):
    """Utterances of a DVCEA data set, or of some of its rows; what is read is a view of the files.

    Made by `Dvcea.open`.
    """

    def __init__(
        self, manifest: Manifest, index: Any, arrays: Mapping[str, Array], rows: NDArray[np.int64]
    ) -> None:
        self.manifest, self.rows = manifest, rows
        self._index, self._arrays = index, arrays

    @classmethod
    def open(cls, path: Path | str) -> "Dvcea":
        """Map the arrays and read the index.

        Raises a DvceaError, which says what is wrong with the set, or MissingExtra.
        """
        pyarrow, parquet = need("pyarrow", extra="dvcea"), need("pyarrow.parquet", extra="dvcea")
        manifest = Manifest.read(Path(path))
        arrays = {name: _mapped(manifest, name) for name in ARRAYS}
        try:
            table = parquet.read_table(manifest.folder / INDEX, memory_map=True)
            index = _Index(table)
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            raise DvceaShapeMismatch(
                f"{manifest.folder / INDEX}: cannot be read as the index ({error}); {CURE}"
            ) from error
        _check_places(manifest, index, arrays)
        return cls(manifest, index, arrays, np.arange(len(index), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> DvceaUtterance: ...
    @overload
    def __getitem__(self, place: slice) -> "Dvcea": ...
    def __getitem__(self, place: int | slice) -> "DvceaUtterance | Dvcea":
        if isinstance(place, slice):
            return self._only(self.rows[place])
        row = int(self.rows[place])
        said = {name: column[row] for name, column in self._index.said.items()}
        return DvceaUtterance(**said, **self._features(row))

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits, in the order of the index."""
        return tuple(dict.fromkeys(self._index.said["split"][row] for row in self.rows))

    def split(self, name: str) -> "Dvcea":
        """Return the utterances of a split. Raises KeyError where there is none of this name."""
        column = self._index.said["split"]
        rows = [row for row in self.rows.tolist() if column[row] == name]
        if not rows:
            raise KeyError(f"split {name!r}: expected one of {', '.join(self.splits)}")
        return self._only(np.array(rows, np.int64))

    @cached_property
    def dialogues(self) -> "list[Dvcea]":
        """The dialogues, each with its utterances in the order in which they were spoken."""
        if not len(self.rows):
            return []
        split, dialogue = (self._index.said[name] for name in ("split", "dialogue"))
        ids = [(split[row], dialogue[row]) for row in self.rows.tolist()]
        starts = [i for i in range(1, len(ids)) if ids[i] != ids[i - 1]]
        return [self._only(rows) for rows in np.split(self.rows, starts)]

    def column(self, name: str) -> Sequence[Any]:
        """Return what the index says of each utterance, without reading any features."""
        column = self._index.said[name]
        return [column[row] for row in self.rows.tolist()]

    def counts(self, name: str) -> NDArray[np.int64]:
        """Return how many items of `visual`, `audio` or `text` each utterance has: (n,)."""
        if name == "text":
            has_text: NDArray[np.int64] = self._index.places["text_row"][self.rows] >= 0
            return has_text.astype(np.int64)
        counted: NDArray[np.int64] = self._index.places[f"{name}_count"][self.rows]
        return counted

    def verify(self) -> None:
        """Raise DvceaHashMismatch where a file is not the one that was written; reads all bytes."""
        self.manifest.verify()

    def __iter__(self) -> Iterator[DvceaUtterance]:
        return (self[place] for place in range(len(self)))

    def _only(self, rows: NDArray[np.int64]) -> "Dvcea":
        return Dvcea(self.manifest, self._index, self._arrays, rows)

    def _features(self, row: int) -> dict[str, Any]:
        places, found = self._index.places, dict[str, Any]()
        for name in SEQUENCES:
            start, count = int(places[f"{name}_start"][row]), int(places[f"{name}_count"][row])
            for array in (name, f"{name}_us"):
                found[array] = self._arrays[array][start : start + count] if count else None
        text = int(places["text_row"][row])
        return {**found, "text_features": self._arrays["text"][text] if text >= 0 else None}


class _Index:
    """The columns of the index: places of features as arrays, the rest as lists."""

    def __init__(self, table: Any) -> None:
        columns = {name: table.column(name) for name in COLUMNS}
        for name in PLACES:
            if str(columns[name].type) != COLUMNS[name] or columns[name].null_count:
                raise KeyError(f"{name}: expected whole numbers without gaps")
        self.places = {name: columns[name].to_numpy() for name in PLACES}
        self.said = {
            name: column.to_pylist() for name, column in columns.items() if name not in PLACES
        }

    def __len__(self) -> int:
        return len(self.said["split"])


def _mapped(manifest: Manifest, name: str) -> Array:
    """Map an array, as one that may be written to: torch takes no other, and the file stays."""
    file = manifest.folder / f"{name}.npy"
    feature = name.removesuffix("_us")
    items, width = manifest.items[feature], manifest.widths[feature]
    dtype, shape = (manifest.dtype, (items, width)) if name == feature else ("int64", (items,))
    try:
        with file.open("rb") as opened:
            found_shape, fortran, found_dtype = _header(opened)
            offset = opened.tell()
    except ValueError as error:
        raise DvceaShapeMismatch(f"{file}: not NumPy's format 1.0 ({error}); {CURE}") from error
    if (found_shape, fortran, found_dtype) != (shape, False, np.dtype(dtype)):
        raise DvceaShapeMismatch(
            f"{file}: expected {dtype} of shape {shape}, got {found_dtype} of {found_shape}; {CURE}"
        )
    if not items:
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(file, dtype=dtype, mode="c", offset=offset, shape=shape))


def _header(opened: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    if np.lib.format.read_magic(opened) != (1, 0):
        raise ValueError("another version")
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = np.lib.format.read_array_header_1_0(
        opened
    )
    return header


def _check_places(manifest: Manifest, index: _Index, arrays: Mapping[str, Array]) -> None:
    """Raise DvceaShapeMismatch where the index points outside the arrays."""
    places = index.places
    wrong = len(index) != manifest.utterances
    for name in SEQUENCES:
        start, count = places[f"{name}_start"], places[f"{name}_count"]
        outside = (start < 0) | (count < 0) | (start + count > len(arrays[name]))
        wrong |= bool(outside.any())
    text = places["text_row"]
    wrong |= bool(((text < -1) | (text >= len(arrays["text"]))).any())
    if wrong:
        raise DvceaShapeMismatch(
            f"{manifest.folder / INDEX}: its rows are not those of the manifest and the arrays; "
            f"{CURE}"
        )
