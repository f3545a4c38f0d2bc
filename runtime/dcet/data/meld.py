"""Conversations in the CSV format of MELD (Poria et al., ACL 2019, arXiv 1810.02508)."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dcet.runtime.errors import (
    BadNumber,
    DataNotFound,
    EmptyUtterance,
    MalformedTable,
    MissingColumn,
    UndecodableText,
    UnknownLabel,
)
from dcet.runtime.labels import EMOTIONS, SENTIMENT_VALUES
from dcet.runtime.senses.text import normalise_text

COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")


@dataclass(frozen=True, slots=True)
class Turn:
    """One labelled utterance."""

    speaker: str
    text: str
    emotion: int  # index into EMOTIONS
    sentiment: int  # -1, 0 or 1
    row: int  # its place in the file, from 0
    line: int  # of the file, from 1, where it ends


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns of one conversation, in the order they were spoken."""

    id: str
    turns: tuple[Turn, ...]


def read_meld(path: Path | str) -> list[Dialogue]:
    """Read a MELD-style CSV; dialogues come in the order of their first row.

    Raises the DataError that says what is wrong with it, naming file and line.
    """
    path = Path(path)
    dialogues: dict[str, list[tuple[int, Turn]]] = {}
    reader = csv.DictReader(io.StringIO(_decode(path), newline=""))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise MissingColumn(
            f"{path}: columns {', '.join(missing)} are missing; expected at least "
            f"{', '.join(COLUMNS)}, got {', '.join(reader.fieldnames or ('none',))}"
        )
    for row, fields in enumerate(_rows(reader, path)):
        where = f"{path}, line {reader.line_num}"
        text = normalise_text(fields["Utterance"] or "")
        if not text:
            raise EmptyUtterance(f"{where}: Utterance is empty; remove the row or give its text")
        turn = Turn(
            speaker=fields["Speaker"] or "",
            text=text,
            emotion=EMOTIONS.index(_label(fields["Emotion"], EMOTIONS, f"{where}: Emotion")),
            sentiment=SENTIMENT_VALUES[
                _label(fields["Sentiment"], tuple(SENTIMENT_VALUES), f"{where}: Sentiment")
            ],
            row=row,
            line=reader.line_num,
        )
        position = _whole_number(fields["Utterance_ID"], f"{where}: Utterance_ID")
        dialogues.setdefault(fields["Dialogue_ID"] or "", []).append((position, turn))
    return [
        Dialogue(id, tuple(turn for _, turn in sorted(turns, key=lambda item: item[0])))
        for id, turns in dialogues.items()
    ]


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[dict[str, str | None]]:
    try:
        yield from reader
    except csv.Error as error:
        raise MalformedTable(
            f"{path}, line {reader.line_num}: {error}; look for a quote that is not closed"
        ) from error


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataNotFound(
            f"{path}: expected a CSV file in MELD's format, but it cannot be read "
            f"({error.strerror}); check the path"
        ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UndecodableText(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} at offset {error.start} is not "
            "UTF-8; convert the file first, for example: iconv -f WINDOWS-1252 -t UTF-8"
        ) from error


def _label(value: str | None, known: tuple[str, ...], where: str) -> str:
    label = (value or "").strip().lower()
    if label not in known:
        raise UnknownLabel(f"{where} is {value!r}; expected one of {', '.join(known)}")
    return label


def _whole_number(value: str | None, where: str) -> int:
    if not (value or "").strip().isdecimal():
        raise BadNumber(f"{where} is {value!r}; expected a whole number")
    return int(value or "")
