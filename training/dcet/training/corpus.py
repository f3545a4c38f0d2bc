"""What there is to learn from: dialogues, their prosody, second opinions on their labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.meld import Dialogue, read_meld

PROSODY_WIDTH = 15


@dataclass(frozen=True, slots=True)
class Corpus:
    """Dialogues and the arrays that belong to them; a turn's `row` says where in each array."""

    dialogues: Sequence[Dialogue]
    prosody: NDArray[np.float32]  # (n, 15)
    prosody_mask: NDArray[np.float32]  # (n,) 1 where it was measured
    soft: NDArray[np.float32]  # (n, 7) what other models thought; zeros where nobody was asked

    @classmethod
    def read(
        cls, csv: Path, *, prosody: Path | None = None, soft_labels: Path | None = None
    ) -> "Corpus":
        """Read a MELD-style CSV, the npz of its prosody and that of `dcet-train soft-labels`."""
        dialogues = read_meld(csv)
        if not dialogues:
            raise DataError(f"{csv}: expected at least one row under the header, got none")
        n = sum(len(dialogue.turns) for dialogue in dialogues)
        figures = np.zeros((n, PROSODY_WIDTH), np.float32)
        mask = np.zeros(n, np.float32)
        soft = np.zeros((n, len(EMOTIONS)), np.float32)
        if prosody is not None:
            figures = _array(prosody, "prosody", figures.shape)
            mask = _array(prosody, "prosody_mask", mask.shape)
        if soft_labels is not None:
            soft = _array(soft_labels, "probabilities", soft.shape)
        return cls(dialogues, figures, mask, soft)

    @classmethod
    def of_meld(cls, folder: Path, split: str, *, soft_labels: Path | None = None) -> "Corpus":
        """`split`_sent_emo.csv of MELD's folder, with `split`_prosody.npz where it is there."""
        prosody = folder / f"{split}_prosody.npz"
        return cls.read(
            folder / f"{split}_sent_emo.csv",
            prosody=prosody if prosody.is_file() else None,
            soft_labels=soft_labels,
        )

    def only(self, dialogues: Sequence[Dialogue]) -> "Corpus":
        """The same corpus with some of its dialogues."""
        return replace(self, dialogues=dialogues)


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
