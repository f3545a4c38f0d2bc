"""A folder of labelled turns: what a model is calibrated and judged on.

docs/turns.md has the format. The folder holds `turns.jsonl`, a turn a line, and the sounds and
pictures that it names.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.data.media import read_picture, read_sound
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.errors import (
    DataError,
    DataNotFound,
    DuplicateTurn,
    EmptyUtterance,
    InputError,
    MalformedTable,
    MissingColumn,
    OneClassOnly,
    PathOutside,
    UndecodableText,
    UnknownLabel,
    UnusableMedia,
)
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.senses.face import Pixels
from dcet.runtime.turn import check_audio, check_finite, check_speaker, check_text

TABLE = "turns.jsonl"
# For each key: the type of its value, and how a message calls it.
_REQUIRED: Mapping[str, tuple[Any, str]] = {
    "conversation": (str, "text"),
    "speaker": (str, "text"),
    "emotion": (str, "text"),
}
_OPTIONAL: Mapping[str, tuple[Any, str]] = {
    "text": (str | None, "text or null"),
    "audio": (str | None, "the name of a file or null"),
    "faces": (list | None, "a list of names of files or null"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledTurn:
    """One utterance, as `Conversation.turn` takes it, and the emotion that it has."""

    speaker: str
    emotion: int  # index into EMOTIONS
    text: str | None = None
    audio: NDArray[Any] | None = None  # PCM, int16 or float, (n,) or (n, channels)
    sample_rate_hz: int = SAMPLE_RATE_HZ
    faces: tuple[Pixels, ...] = ()


@dataclass(frozen=True, eq=False)
class Turns:
    """Labelled conversations, each of one turn or more in the order in which they were spoken."""

    name: str  # for reports
    conversations: Mapping[str, tuple[LabelledTurn, ...]]  # by their names

    def __iter__(self) -> Iterator[LabelledTurn]:
        for turns in self.conversations.values():
            yield from turns

    def __len__(self) -> int:
        return sum(map(len, self.conversations.values()))

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) indices into EMOTIONS, in the order of iteration."""
        return np.array([turn.emotion for turn in self], np.int64)

    @cached_property
    def sha256(self) -> str:
        """Hash of all that was said, heard and seen, whatever files it was read from."""
        digest = hashlib.sha256()
        for conversation, turns in self.conversations.items():
            for turn in turns:
                parts = [*turn.faces] if turn.audio is None else [turn.audio, *turn.faces]
                row = (
                    conversation,
                    turn.speaker,
                    EMOTIONS[turn.emotion],
                    turn.text,
                    None if turn.audio is None else turn.sample_rate_hz,
                    [(part.dtype.name, part.shape) for part in parts],
                )
                digest.update(json.dumps(row).encode())
                for part in parts:
                    digest.update(part.astype(part.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()


def read_turns(folder: Path | str) -> Turns:
    """Read a folder of labelled turns, with all its sounds and pictures.

    Sounds other than WAV of 16 bits need the extra `audio`, pictures the extra `faces`. Raises
    MissingExtra, or the DataError that says what is wrong, naming file and line.
    """
    folder = Path(folder)
    table = folder / TABLE
    conversations: dict[str, list[LabelledTurn]] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(_lines(table), start=1):
        if not line.strip():
            continue
        where = f"{table}, line {number}"
        row = _row(line, where)
        has_media = bool(row.get("audio") or row.get("faces"))
        first = seen.setdefault(json.dumps(row, sort_keys=True), number)
        if (
            has_media and first != number
        ):  # people do say the same twice, but never in one recording
            raise DuplicateTurn(f"{where}: it is the same turn as line {first}; remove one of them")
        turn = _turn(row, folder, where)
        conversations.setdefault(row["conversation"], []).append(turn)
    turns = Turns(folder.resolve().name, {name: tuple(of) for name, of in conversations.items()})
    check_classes(turns, str(table))
    return turns


def check_classes(turns: Turns, where: str) -> None:
    """Raise DataError unless there are turns of two emotions at least."""
    if len(turns) == 0:
        raise DataError(f"{where}: expected labelled turns, got none; add one a line")
    found = sorted({EMOTIONS[turn.emotion] for turn in turns})
    if len(found) == 1:
        raise OneClassOnly(
            f"{where}: expected turns of at least two emotions, got {len(turns)} of {found[0]} "
            "alone: whatever a model answers, such a set cannot tell how good it is. "
            "Add turns of other emotions"
        )


def _lines(table: Path) -> list[str]:
    try:
        data = table.read_bytes()
    except OSError as error:
        raise DataNotFound(
            f"{table}: expected labelled turns, but it cannot be read ({error.strerror}); give a "
            f"folder that holds {TABLE}, or write one with: dcet-train turns"
        ) from error
    try:
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UndecodableText(
            f"{table}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save it as UTF-8"
        ) from error


def _row(line: str, where: str) -> dict[str, Any]:
    """The values of a line, each of the type that it must have."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg} at {error.colno}" if isinstance(error, JSONDecodeError) else error
        raise MalformedTable(f"{where}: expected a JSON object: {reason}; correct it") from error
    if not isinstance(row, dict):
        raise MalformedTable(f"{where}: expected a JSON object, got {line.strip():.60}; correct it")
    if missing := [key for key in _REQUIRED if key not in row]:
        raise MissingColumn(f"{where}: {', '.join(missing)} is missing; add it")
    known = {**_REQUIRED, **_OPTIONAL}
    for key, value in row.items():
        if key not in known:
            raise MalformedTable(
                f"{where}: {key!r} is not a key of a turn; the keys are {', '.join(known)}"
            )
        kind, described = known[key]
        items = value if isinstance(value, list) else []
        if not (isinstance(value, kind) and all(isinstance(item, str) for item in items)):
            raise MalformedTable(
                f"{where}: {key}: expected {described}, got {value!r:.60}; correct it"
            )
    return row


def _turn(row: dict[str, Any], folder: Path, where: str) -> LabelledTurn:
    label = row["emotion"].strip().lower()
    if label not in EMOTIONS:
        raise UnknownLabel(
            f"{where}: emotion is {row['emotion']!r}; expected one of {', '.join(EMOTIONS)}"
        )
    text, audio, faces = row.get("text"), row.get("audio"), row.get("faces") or []
    if not (text or audio or faces):
        raise EmptyUtterance(f"{where}: it has neither text nor audio nor faces; remove the line")
    try:
        speaker = check_speaker(row["speaker"])
        check_text(text or "")
    except InputError as error:
        raise MalformedTable(f"{where}: {error}") from error
    samples, rate_hz = (None, SAMPLE_RATE_HZ) if audio is None else _hear(folder, audio, where)
    return LabelledTurn(
        speaker=speaker,
        emotion=EMOTIONS.index(label),
        text=text or None,
        audio=samples,
        sample_rate_hz=rate_hz,
        faces=tuple(_look(folder, face, where) for face in faces),
    )


def _hear(folder: Path, name: str, where: str) -> tuple[NDArray[Any], int]:
    path = _inside(folder, name, f"{where}: audio")
    try:
        samples, rate_hz = read_sound(path)
        check_audio(samples, rate_hz)
        check_finite(samples)
    except DataError as error:
        raise type(error)(f"{where}: audio: {error}") from error
    except InputError as error:
        raise UnusableMedia(f"{where}: {path}: {error}") from error
    if len(samples) == 0:
        raise UnusableMedia(f"{where}: {path}: it holds no sound; write null where there is none")
    return samples, rate_hz


def _look(folder: Path, name: str, where: str) -> Pixels:
    path = _inside(folder, name, f"{where}: faces")
    try:
        return read_picture(path)
    except DataError as error:
        raise type(error)(f"{where}: faces: {error}") from error


def _inside(folder: Path, name: str, where: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PathOutside(
            f"{where}: expected a file inside {folder}, got {name!r}; copy it there, and do not "
            "use this set unless you know who made it"
        )
    return path
