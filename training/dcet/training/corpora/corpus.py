"""Dialogues to train on, and other models' probabilities for their labels."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dcet.data.meld import Dialogue, Utterance, read_meld
from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.registry import TALK, folder_of
from dcet.training.corpora.talk import read_talk


@dataclass(frozen=True, slots=True)
class Corpus:
    """Dialogues and an array with a row for each utterance, which its `row` names."""

    dialogues: Sequence[Dialogue]
    soft: NDArray[np.float32]  # (n, 7) probabilities of other models; zeros where there are none
    source: int = 0  # which of several corpora that are trained on together

    @classmethod
    def read(cls, csv: Path, *, soft_labels: Path | None = None) -> "Corpus":
        """Read a MELD-style CSV, and the npz of `dcet-train soft-labels`."""
        dialogues = read_meld(csv)
        if not dialogues:
            raise DataError(f"{csv}: expected at least one row under the header, got none")
        n = sum(len(dialogue.turns) for dialogue in dialogues)
        soft = np.zeros((n, len(EMOTIONS)), np.float32)
        if soft_labels is not None:
            soft = _array(soft_labels, "probabilities", soft.shape)
        return cls(dialogues, soft)

    @classmethod
    def of_meld(cls, folder: Path, split: str, *, soft_labels: Path | None = None) -> "Corpus":
        """Read `split`_sent_emo.csv in MELD's folder."""
        return cls.read(folder / f"{split}_sent_emo.csv", soft_labels=soft_labels)

    @classmethod
    def of_talk(
        cls, name: str, folder: Path, split: str, *, source: int = 0, column: str = "text"
    ) -> "Corpus":
        """Read a split of a corpus of talk at large, as `read_talk`."""
        dialogues = read_talk(name, folder, split, column)
        rows = 1 + max(turn.row for dialogue in dialogues for turn in dialogue.turns)
        return cls(dialogues, np.zeros((rows, len(EMOTIONS)), np.float32), source)

    @classmethod
    def of_text(cls, name: str, data: Path, split: str) -> "Corpus":
        """Read a split of any corpus of text in `data`, the folder that holds their folders."""
        if name in TALK:
            return cls.of_talk(name, folder_of(data, "text"), split)
        return cls.of_meld(folder_of(data, name), split)

    @property
    def turns(self) -> list[Utterance]:
        """All utterances, in order."""
        return [turn for dialogue in self.dialogues for turn in dialogue.turns]

    def only(self, dialogues: Sequence[Dialogue]) -> "Corpus":
        """Return the corpus with some of its dialogues; their rows stay as they are."""
        return replace(self, dialogues=dialogues)

    def without(self, turns: Collection[Utterance]) -> "Corpus":
        """Return the same corpus without these turns, and without dialogues of no others."""
        left = [
            replace(dialogue, turns=tuple(turn for turn in dialogue.turns if turn not in turns))
            for dialogue in self.dialogues
        ]
        return self.only([dialogue for dialogue in left if dialogue.turns])


def _array(path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            array = np.asarray(file[name], dtype=np.float32)
    except (OSError, EOFError, BadZipFile, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot read the array {name!r} ({error})") from error
    if array.shape != shape:
        raise DataError(
            f"{path}: expected {name} {shape}, one row for each of the CSV, got {array.shape}; "
            "give the file that belongs to this CSV"
        )
    if not np.isfinite(array).all():
        raise DataError(f"{path}: {name} holds NaN or infinite values; mask those rows")
    return array
