"""A folder of labelled turns, which models are calibrated and evaluated on.

docs/turns.md has the format. The folder holds `turns.jsonl`, a turn a line, and the files of audio
and pictures that it names.
"""

import hashlib
import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.data.media import path_inside, read_audio, read_picture
from dcet.data.tables import find_label, read_text
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.errors import (
    DataError,
    DuplicateTurn,
    EmptyUtterance,
    InputError,
    MalformedTable,
    MissingColumn,
    OneClassOnly,
    UnusableMedia,
)
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.senses.face import Pixels
from dcet.runtime.turn import check_speaker, check_text

TABLE = "turns.jsonl"
CURE = f"give a folder that holds {TABLE}, or write one with: dcet-train turns"
# For each key: the type of its value, and its name in a message.
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
        """The labels, (n,) indices into EMOTIONS, in the order of iteration."""
        return np.array([turn.emotion for turn in self], np.int64)

    @cached_property
    def sha256(self) -> str:
        """The hash of all text, audio and pictures, whatever files they were read from."""
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
    """Read a folder of labelled turns, with all its audio and pictures.

    Audio other than WAV of 16 bits needs the extra `audio`, pictures the extra `faces`. Raises
    MissingExtra, or the DataError that says what is wrong, naming file and line.
    """
    folder = Path(folder)
    table = folder / TABLE
    conversations: dict[str, list[LabelledTurn]] = {}
    seen: dict[str, int] = {}
    for number, line in enumerate(read_text(table, "labelled turns", CURE).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{table}, line {number}"
        row = _row(line, where)
        has_media = bool(row.get("audio") or row.get("faces"))
        first = seen.setdefault(json.dumps(row, sort_keys=True), number)
        # People do say the same twice, but never in one recording.
        if has_media and first != number:
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


def _row(line: str, where: str) -> dict[str, Any]:
    """Parse a line; each value is of the type that it must have."""
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
                f"{where}: {key[:60]!r} is not a key of a turn; the keys are {', '.join(known)}"
            )
        kind, described = known[key]
        items = value if isinstance(value, list) else []
        if not (isinstance(value, kind) and all(isinstance(item, str) for item in items)):
            raise MalformedTable(
                f"{where}: {key}: expected {described}, got {reprlib.repr(value)}; correct it"
            )
        if _has_half_a_pair(items or value):
            raise MalformedTable(
                f"{where}: {key}: expected Unicode text, got half of a surrogate pair; decode the "
                "bytes it came from with errors='replace'"
            )
    return row


def _has_half_a_pair(value: str | list[str] | None) -> bool:
    return any("\ud800" <= letter <= "\udfff" for item in value or () for letter in item)


def _turn(row: dict[str, Any], folder: Path, where: str) -> LabelledTurn:
    emotion = EMOTIONS.index(find_label(row["emotion"], EMOTIONS, f"{where}: emotion"))
    text, audio, faces = row.get("text"), row.get("audio"), row.get("faces") or []
    if not (text or audio or faces):
        raise EmptyUtterance(f"{where}: it has neither text nor audio nor faces; remove the line")
    try:
        speaker = check_speaker(row["speaker"])
        check_text(text or "")
    except InputError as error:
        raise MalformedTable(f"{where}: {error}") from error
    samples, rate_hz = (None, SAMPLE_RATE_HZ) if audio is None else _audio(folder, audio, where)
    return LabelledTurn(
        speaker=speaker,
        emotion=emotion,
        text=text or None,
        audio=samples,
        sample_rate_hz=rate_hz,
        faces=tuple(_face(folder, face, where) for face in faces),
    )


def _audio(folder: Path, name: str, where: str) -> tuple[NDArray[Any], int]:
    path = path_inside(folder, name, f"{where}: audio")
    try:
        samples, rate_hz = read_audio(path)
    except DataError as error:
        raise type(error)(f"{where}: audio: {error}") from error
    if len(samples) == 0:
        raise UnusableMedia(f"{where}: {path}: it holds no audio; write null where there is none")
    return samples, rate_hz


def _face(folder: Path, name: str, where: str) -> Pixels:
    path = path_inside(folder, name, f"{where}: faces")
    try:
        return read_picture(path)
    except DataError as error:
        raise type(error)(f"{where}: faces: {error}") from error
