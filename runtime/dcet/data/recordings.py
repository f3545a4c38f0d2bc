"""The clips of RAVDESS and the faces of FER+, by the `labels.csv` next to them.

RAVDESS: Livingstone & Russo, PLoS ONE 2018. FER+: Barsoum et al., ICMI 2016.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.data.media import path_inside, read_clip
from dcet.data.tables import Row, expect_each_once, read_csv
from dcet.runtime.arrays import FACE_PIXELS
from dcet.runtime.errors import DataError, UnusableMedia
from dcet.runtime.extras import need
from dcet.runtime.labels import EMOTIONS

TABLE = "labels.csv"
FILE = ("file",)  # column of a clip
TILE = ("mosaic", "row", "col")  # columns of a face: a picture, and a place in it

Clip = NDArray[np.float32]  # (samples,) at 16 kHz
ActorClips = tuple[tuple[Clip, ...], ...]  # of one actor, by emotion
FacesByEmotion = tuple[NDArray[np.uint8], ...]  # (n, 48, 48) grey, by emotion


def read_labels(
    folder: Path, split: str, identity: Sequence[str], others: Sequence[str] = ()
) -> list[Row]:
    """Return the rows of `split` in the `labels.csv` of a corpus; each has a known label.

    identity: columns that tell one item from another; no two rows may share them
    others:   further columns that there must be

    Raises DataError, also where the split has no row.
    """
    table = folder / TABLE
    columns = ("label", "split", *identity, *others)
    rows = list(read_csv(table, columns, what="the table of a corpus"))
    expect_each_once(rows, identity)
    of_split = [row for row in rows if row.text("split").strip() == split]
    if not of_split:
        found = sorted({row.text("split").strip() for row in rows})
        raise DataError(
            f"{table}: expected rows of the split {split!r}, got {', '.join(found) or 'no row'}; "
            "name another split"
        )
    for row in of_split:
        row.emotion()
    return of_split


def read_clips(folder: Path, rows: Sequence[Row]) -> list[Clip]:
    """Return the clip of each row. Raises DataError, or MissingExtra."""
    return [read_clip(path_inside(folder, row.text("file"), row.where)) for row in rows]


def read_tiles(folder: Path, rows: Sequence[Row]) -> NDArray[np.uint8]:
    """Return the face of each row, (n, 48, 48) grey. Raises DataError, or MissingExtra."""
    cv2 = need("cv2", extra="faces")
    mosaics: dict[str, Any] = {}
    faces = np.empty((len(rows), FACE_PIXELS, FACE_PIXELS), np.uint8)
    for face, row in zip(faces, rows, strict=True):
        name = row.text("mosaic")
        if name not in mosaics:
            file = path_inside(folder, name, row.where)
            mosaics[name] = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            if mosaics[name] is None:
                raise UnusableMedia(f"{row.where}: {file}: cannot read the picture; fetch it again")
        top, left = (row.whole_number(column) * FACE_PIXELS for column in ("row", "col"))
        tile = mosaics[name][top : top + FACE_PIXELS, left : left + FACE_PIXELS]
        if tile.shape != face.shape:
            raise DataError(
                f"{row.where}: {folder / name}: no face at row {row.cells['row']}, column "
                f"{row.cells['col']}, in a picture of {mosaics[name].shape}; fetch it again"
            )
        face[:] = tile
    return faces


def read_actors(folder: Path, split: str) -> tuple[ActorClips, ...]:
    """Return the clips of every actor of `split`. Raises DataError, or MissingExtra."""
    rows = read_labels(folder, split, FILE, ("speaker",))
    clips: dict[str, list[list[Clip]]] = {}
    for row, clip in zip(rows, read_clips(folder, rows), strict=True):
        of_actor = clips.setdefault(row.text("speaker"), [[] for _ in EMOTIONS])
        of_actor[row.emotion()].append(clip)
    for speaker, of_actor in clips.items():
        _expect_all(of_actor, f"{folder / TABLE}: actor {speaker} of the split {split!r}")
    return tuple(tuple(map(tuple, clips[speaker])) for speaker in sorted(clips))


def read_faces(folder: Path, split: str) -> FacesByEmotion:
    """Return the faces of `split` by emotion. Raises DataError, or MissingExtra."""
    rows = read_labels(folder, split, TILE)
    emotions = np.array([row.emotion() for row in rows])
    faces = read_tiles(folder, rows)
    by_emotion = [faces[emotions == emotion] for emotion in range(len(EMOTIONS))]
    _expect_all(by_emotion, f"{folder / TABLE}: the split {split!r}")
    return tuple(by_emotion)


def _expect_all(by_emotion: Sequence[Sequence[Any]], where: str) -> None:
    absent = [name for name, of in zip(EMOTIONS, by_emotion, strict=True) if len(of) == 0]
    if absent:
        raise DataError(f"{where}: expected all seven emotions, got no {', '.join(absent)}")
