"""FER+ faces, 48×48 grey, with the crowd's votes, to train and judge the face encoder on."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dcet.runtime.arrays import FACE_PIXELS
from dcet.runtime.errors import BadNumber, DataError
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.speech import labels, read_table

VOTES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")  # as EMOTIONS


@dataclass(frozen=True, slots=True)
class Faces:
    """n faces, in the order of the table."""

    grey: Tensor  # (n, 48, 48) uint8
    emotion: Tensor  # (n,) what most voted for
    votes: Tensor  # (n, 7) shares of the votes for the seven emotions

    def __len__(self) -> int:
        return len(self.emotion)

    def only(self, chosen: Tensor) -> "Faces":
        """The faces for which `chosen` (n,) is true, in the same order."""
        return Faces(self.grey[chosen], self.emotion[chosen], self.votes[chosen])


def read_ferplus(folder: Path, split: str) -> Faces:
    """The faces of `split`. Raises DataError where files are missing or not what the table says."""
    table = read_table(folder / "labels.csv", ("label", "split", "mosaic", "row", "col"))
    rows = [row for row in table if row["split"] == split]
    if not rows:
        raise DataError(f"{folder / 'labels.csv'}: expected faces of the split {split!r}, got none")
    mosaics: dict[str, np.ndarray] = {}
    grey = np.empty((len(rows), FACE_PIXELS, FACE_PIXELS), np.uint8)
    for face, row in zip(grey, rows, strict=True):
        name = row["mosaic"]
        if name not in mosaics:
            picture = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
            if picture is None:
                raise DataError(f"{folder / name}: cannot read the picture")
            mosaics[name] = picture
        try:
            top, left = int(row["row"]) * FACE_PIXELS, int(row["col"]) * FACE_PIXELS
        except ValueError as error:
            raise BadNumber(
                f"{folder / 'labels.csv'}: expected row and col of a face ({error})"
            ) from error
        tile = mosaics[name][top : top + FACE_PIXELS, left : left + FACE_PIXELS]
        if tile.shape != (FACE_PIXELS, FACE_PIXELS):
            raise DataError(f"{folder / name}: no face at row {row['row']}, column {row['col']}")
        face[:] = tile
    emotion = labels(rows, folder)
    try:
        votes = torch.tensor([[float(row[name]) for name in VOTES] for row in rows])
    except (KeyError, ValueError) as error:
        raise BadNumber(f"{folder / 'labels.csv'}: expected counts of votes ({error})") from error
    # A single vote is as likely a slip as an opinion (Barsoum et al., ICMI 2016).
    votes = torch.where(votes > 1, votes, 0.0)
    certain = torch.nn.functional.one_hot(emotion, len(EMOTIONS)).float()
    votes = torch.where(votes.sum(dim=1, keepdim=True) > 0, votes, certain)
    return Faces(torch.from_numpy(grey), emotion, votes / votes.sum(dim=1, keepdim=True))
