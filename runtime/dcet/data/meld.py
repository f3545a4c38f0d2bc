"""Conversations in the CSV format of MELD (Poria et al., ACL 2019, arXiv 1810.02508)."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from dcet.data.tables import Row, read_csv
from dcet.runtime.errors import DuplicateTurn, EmptyUtterance
from dcet.runtime.labels import SENTIMENT_VALUES
from dcet.runtime.senses.text import normalise_text

COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled utterance of a dialogue."""

    speaker: str
    text: str
    emotion: int  # index into EMOTIONS
    sentiment: int  # -1, 0 or 1
    row: int  # its place in the file, from 0
    line: int  # of the file, from 1, where it ends


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One conversation: its utterances in the order in which they were spoken."""

    id: str
    turns: tuple[Utterance, ...]


def read_meld(path: Path | str) -> list[Dialogue]:
    """Read a MELD-style CSV; dialogues come in the order of their first row.

    Raises the DataError that says what is wrong with it, naming file and line; DuplicateTurn where
    a dialogue has two utterances of one number, as it does when two files are joined into one.
    """
    path = Path(path)
    dialogues: dict[str, dict[int, Utterance]] = {}
    rows: dict[tuple[str, int], Row] = {}
    for number, row in enumerate(read_csv(path, COLUMNS, what="a CSV file in MELD's format")):
        utterance = _utterance(row, number)
        id, place = (row.cells["Dialogue_ID"] or "").strip(), row.whole_number("Utterance_ID")
        first = rows.setdefault((id, place), row)
        if first is not row:
            raise DuplicateTurn(_told_twice(id, place, first, row))
        dialogues.setdefault(id, {})[place] = utterance
    return [
        Dialogue(id, tuple(utterances[place] for place in sorted(utterances)))
        for id, utterances in dialogues.items()
    ]


def _utterance(row: Row, number: int) -> Utterance:
    text = normalise_text(row.cells["Utterance"] or "")
    if not text:
        raise EmptyUtterance(f"{row.where}: Utterance is empty; remove the row or give its text")
    return Utterance(
        # As a conversation keeps names: however its accents are encoded, it is one speaker.
        speaker=unicodedata.normalize("NFC", row.cells["Speaker"] or ""),
        text=text,
        emotion=row.emotion("Emotion"),
        sentiment=SENTIMENT_VALUES[row.label("Sentiment", SENTIMENT_VALUES)],
        row=number,
        line=row.line,
    )


def _told_twice(id: str, place: int, first: Row, second: Row) -> str:
    message = f"{second.where}: utterance {place} of dialogue {id!r} is in line {first.line}, too, "
    if first.cells == second.cells:
        return message + "and the rows are alike; remove one of them"
    return message + (
        f"as {first.cells['Utterance']!r:.60}, and here as {second.cells['Utterance']!r:.60}; "
        "where two files were joined, give each dialogue a Dialogue_ID of its own, or keep the "
        "files apart; else correct Utterance_ID"
    )
