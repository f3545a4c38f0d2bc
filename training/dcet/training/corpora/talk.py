"""Talk at large, from outside MELD: lines of the web and of films, and dialogues, with emotions.

GoEmotions (Demszky et al., ACL 2020), XED (Öhman et al., COLING 2020), DailyDialog (Li et al.,
IJCNLP 2017) and Topical-Chat (Gopalakrishnan et al., Interspeech 2019), with the seven emotions.
"""

from collections.abc import Iterator
from pathlib import Path

from dcet.data.meld import Dialogue, Utterance
from dcet.data.tables import Row, read_csv
from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.senses.text import normalise_text

LINES, TURNS = ("text", "labels"), ("dialogue", "turn", "speaker", "text", "emotion")
COLUMNS = {"goemotions": LINES, "xed": LINES, "dailydialog": TURNS, "topical_chat": TURNS}
FILES = {
    ("goemotions", "train"): "goemotions_train.csv",
    ("goemotions", "dev"): "goemotions_dev.csv",
    ("dailydialog", "train"): "dailydialog_part1k.csv",
    ("dailydialog", "dev"): "dailydialog_dev.csv",
    ("topical_chat", "recognised"): "topical_chat_recognised.csv",
}
IN_ONE_FILE = {"xed": "xed.csv", "topical_chat": "topical_chat_dev.csv"}
HELD_OUT = 10  # of a corpus in one file, every tenth dialogue or line is its dev split
NO_SENTIMENT = 0


def file_of(corpus: str, folder: Path, split: str) -> Path:
    """Return the CSV file of a split, `train` or `dev`, of one of COLUMNS.

    Topical-Chat has another one, `recognised`: turns read aloud, and what RECOGNISERS wrote. Raises
    DataError for a split that a corpus does not have.
    """
    if (corpus, split) in FILES:
        return folder / FILES[corpus, split]
    if corpus in IN_ONE_FILE and split in ("train", "dev"):
        return folder / IN_ONE_FILE[corpus]
    raise DataError(f"{folder}: {corpus} has no split {split!r}; expected train or dev")


def read_talk(corpus: str, folder: Path, split: str, column: str = "text") -> list[Dialogue]:
    """Read a split of a corpus, in the folder of its CSV files; see `file_of`.

    A line is a dialogue of its own. Lines with several labels are left out, and so is what holds no
    letter. None has a sentiment: NO_SENTIMENT stands there. `column` holds the text. Raises the
    DataError that says what is wrong, naming file and line.
    """
    file = file_of(corpus, folder, split)
    columns = COLUMNS[corpus]
    rows = read_csv(file, [*columns, column], what=f"{corpus}, a CSV file")
    dialogues = _lines(rows, corpus) if columns is LINES else _turns(rows, column)
    if file.name == IN_ONE_FILE.get(corpus):
        held_out = split == "dev"
        dialogues = [d for n, d in enumerate(dialogues) if (n % HELD_OUT == 0) == held_out]
    if not dialogues:
        raise DataError(f"{file}: expected text with a label, got none")
    return dialogues


def _lines(rows: Iterator[Row], corpus: str) -> list[Dialogue]:
    made: list[Dialogue] = []
    for number, row in enumerate(rows):
        text, labels = row.text("text"), row.text("labels")
        if corpus == "xed":
            text = text.replace(",", "")  # its neutral lines hold none: no comma tells of emotion
        if "|" not in labels and _has_letters(text):
            made.append(Dialogue(str(len(made)), (_utterance(row, "", text, "labels", number),)))
    return made


def _turns(rows: Iterator[Row], column: str) -> list[Dialogue]:
    dialogues: dict[str, list[Utterance]] = {}
    for number, row in enumerate(rows):
        text, turns = row.text(column), dialogues.setdefault(row.text("dialogue"), [])
        if _has_letters(text):
            turns.append(_utterance(row, row.text("speaker"), text, "emotion", number))
    return [Dialogue(id, tuple(turns)) for id, turns in dialogues.items() if turns]


def _utterance(row: Row, speaker: str, text: str, column: str, number: int) -> Utterance:
    return Utterance(
        speaker=speaker,
        text=normalise_text(text),
        emotion=EMOTIONS.index(row.label(column, EMOTIONS)),
        sentiment=NO_SENTIMENT,
        row=number,
        line=row.line,
    )


def _has_letters(text: str) -> bool:
    return any(sign.isalpha() for sign in text)
