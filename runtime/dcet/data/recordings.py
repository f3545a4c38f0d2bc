"""Voices of RAVDESS and faces of FER+, by what they express, for constructed conversations.

RAVDESS: Livingstone & Russo, PLoS ONE 2018. FER+: Barsoum et al., ICMI 2016.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import FACE_PIXELS, SAMPLE_RATE_HZ
from dcet.runtime.errors import BadNumber, DataError, DataNotFound, MissingColumn, UnknownLabel
from dcet.runtime.extras import need
from dcet.runtime.labels import EMOTIONS

TABLE = "labels.csv"

Clip = NDArray[np.float32]  # (samples,) at 16 kHz
Actor = tuple[tuple[Clip, ...], ...]  # clips by emotion
Faces = tuple[NDArray[np.uint8], ...]  # (n, 48, 48) grey, by emotion


def read_actors(folder: Path, split: str) -> tuple[Actor, ...]:
    """The clips of every actor of `split`. Raises DataError; MissingExtra without soundfile."""
    soundfile = need("soundfile", extra="audio")
    rows = _rows(folder, split, ("file", "speaker"))
    clips: dict[str, list[list[Clip]]] = {}
    for row in rows:
        file = folder / row["file"]
        try:
            samples, rate_hz = soundfile.read(file, dtype="float32")
        except (OSError, soundfile.SoundFileError) as error:
            raise DataError(f"{file}: cannot read the sound ({error}); fetch it again") from error
        if rate_hz != SAMPLE_RATE_HZ or samples.ndim != 1:
            raise DataError(
                f"{file}: expected mono at {SAMPLE_RATE_HZ} Hz, got {samples.shape} at {rate_hz} "
                "Hz; convert it"
            )
        of_actor = clips.setdefault(row["speaker"], [[] for _ in EMOTIONS])
        of_actor[EMOTIONS.index(row["label"])].append(samples)
    for speaker, of_actor in clips.items():
        _expect_all(of_actor, f"{folder / TABLE}: actor {speaker} of the split {split!r}")
    return tuple(tuple(map(tuple, clips[speaker])) for speaker in sorted(clips))


def read_faces(folder: Path, split: str) -> Faces:
    """The faces of `split`. Raises DataError; MissingExtra without OpenCV."""
    cv2 = need("cv2", extra="faces")
    faces: list[list[NDArray[np.uint8]]] = [[] for _ in EMOTIONS]
    mosaics: dict[str, Any] = {}
    for row in _rows(folder, split, ("mosaic", "row", "col")):
        file = folder / row["mosaic"]
        if row["mosaic"] not in mosaics:
            picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            if picture is None:
                raise DataError(f"{file}: cannot read the picture; fetch it again")
            mosaics[row["mosaic"]] = picture
        top, left = (_number(row[key], folder) * FACE_PIXELS for key in ("row", "col"))
        face = mosaics[row["mosaic"]][top : top + FACE_PIXELS, left : left + FACE_PIXELS]
        if face.shape != (FACE_PIXELS, FACE_PIXELS):
            raise DataError(f"{file}: no face at row {row['row']}, column {row['col']}")
        faces[EMOTIONS.index(row["label"])].append(face)
    _expect_all(faces, f"{folder / TABLE}: the split {split!r}")
    return tuple(np.stack(of_emotion) for of_emotion in faces)


def _rows(folder: Path, split: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of `split`; all of them have a known label."""
    table = folder / TABLE
    try:
        with table.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataNotFound(f"{table}: cannot read the table ({error}); check --data") from error
    wanted = {"label", "split", *columns}
    if lacking := wanted - set(reader.fieldnames or ()):
        raise MissingColumn(
            f"{table}: expected columns {', '.join(sorted(wanted))}, got no "
            f"{' and no '.join(sorted(lacking))}"
        )
    of_split = [row for row in rows if row["split"] == split]
    for row in of_split:
        if row["label"] not in EMOTIONS:
            raise UnknownLabel(
                f"{table}: label is {row['label']!r}; expected one of {', '.join(EMOTIONS)}"
            )
    return of_split


def _number(value: str, folder: Path) -> int:
    if not (value or "").isdecimal():
        raise BadNumber(f"{folder / TABLE}: expected a whole number, got {value!r}")
    return int(value)


def _expect_all(by_emotion: list[list[Any]], where: str) -> None:
    absent = [name for name, items in zip(EMOTIONS, by_emotion, strict=True) if not items]
    if absent:
        raise DataError(f"{where}: expected all seven emotions, got no {', '.join(absent)}")
