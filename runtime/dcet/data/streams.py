"""Labelled conversations of every form in which data sets come, to judge a bundle on.

A folder of labelled turns (docs/turns.md), a CSV file in MELD's format, a CSV file with a turn a
row (dialogue, turn, speaker, text, emotion), or a folder of clips with a `labels.csv`, as that of
RAVDESS, whose speakers are heard turn and turn about, as if in one conversation.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dcet.data import recordings, turns
from dcet.data.meld import COLUMNS as MELD_COLUMNS
from dcet.data.meld import read_meld
from dcet.data.tables import expect_each_once, read_csv
from dcet.data.turns import LabelledTurn, Turns, check_classes, read_turns

COLUMNS = ("dialogue", "turn", "speaker", "text", "emotion")
ORDER_SEED = 0  # of the clips in a conversation


def read_stream(path: Path, split: str) -> Turns:
    """Read the conversations of a file or a folder; of clips, those of `split`.

    Raises MissingExtra, or the DataError that says what is wrong.
    """
    if not path.is_dir():
        first = next(read_csv(path, (), what="a CSV file of turns"), None)
        is_meld = first is not None and set(MELD_COLUMNS) <= first.cells.keys()
        read = _read_meld if is_meld else _read_plain
        made = Turns(path.stem, read(path))
    elif (path / recordings.TABLE).is_file() and not (path / turns.TABLE).is_file():
        made = Turns(f"{path.resolve().name} {split}", _read_clips(path, split))
    else:
        return read_turns(path)
    check_classes(made, str(path))
    return made


def under_one_name(stream: Turns) -> Turns:
    """Return the same turns as if one person had spoken all of them."""
    return Turns(
        stream.name,
        {
            name: tuple(replace(turn, speaker="everybody") for turn in of)
            for name, of in stream.conversations.items()
        },
    )


def _read_meld(path: Path) -> dict[str, tuple[LabelledTurn, ...]]:
    return {
        dialogue.id: tuple(
            LabelledTurn(speaker=turn.speaker, emotion=turn.emotion, text=turn.text)
            for turn in dialogue.turns
        )
        for dialogue in read_meld(path)
    }


def _read_plain(path: Path) -> dict[str, tuple[LabelledTurn, ...]]:
    rows = list(read_csv(path, COLUMNS, what="a CSV file of turns"))
    expect_each_once(rows, ("dialogue", "turn"))
    dialogues: dict[str, list[tuple[int, LabelledTurn]]] = {}
    for row in rows:
        turn = LabelledTurn(
            speaker=row.text("speaker"), emotion=row.emotion("emotion"), text=row.text("text")
        )
        dialogues.setdefault(row.text("dialogue"), []).append((row.whole_number("turn"), turn))
    return {
        name: tuple(turn for _, turn in sorted(of, key=lambda placed: placed[0]))
        for name, of in dialogues.items()
    }


def _read_clips(folder: Path, split: str) -> dict[str, tuple[LabelledTurn, ...]]:
    rows = recordings.read_labels(folder, split, recordings.FILE, ("speaker",))
    clips = recordings.read_clips(folder, rows)
    order = np.random.default_rng(ORDER_SEED).permutation(len(rows))
    heard = (
        LabelledTurn(speaker=rows[i].text("speaker"), emotion=rows[i].emotion(), audio=clips[i])
        for i in order
    )
    return {"all": tuple(heard)}
