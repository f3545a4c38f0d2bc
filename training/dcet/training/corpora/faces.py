"""FER+ faces, 48×48 grey, with the votes on them, to train and evaluate the face encoder on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dcet.data.recordings import TILE, read_labels, read_tiles
from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import EMOTIONS

VOTES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")  # as EMOTIONS


@dataclass(frozen=True, slots=True)
class Faces:
    """The n faces of a split, in the order of the table."""

    grey: Tensor  # (n, 48, 48) uint8
    emotion: Tensor  # (n,) that most voted for
    votes: Tensor  # (n, 7) shares of the votes for the seven emotions

    def __len__(self) -> int:
        return len(self.emotion)

    def only(self, chosen: Tensor) -> "Faces":
        """Return the faces for which `chosen` (n,) is true, in the same order."""
        return self._rows(chosen)

    def repeated(self, times: Mapping[str, int]) -> "Faces":
        """Return the faces of each emotion as often as `times` says, once where it says nothing.

        Raises ConfigError for an emotion that is none.
        """
        if unknown := [name for name in times if name not in EMOTIONS]:
            raise ConfigError(
                f"--config: repeat: expected some of {', '.join(EMOTIONS)}, got "
                f"{', '.join(unknown)}"
            )
        often = torch.tensor([times.get(name, 1) for name in EMOTIONS])
        return self._rows(torch.arange(len(self)).repeat_interleave(often[self.emotion]))

    def _rows(self, rows: Tensor) -> "Faces":
        return Faces(self.grey[rows], self.emotion[rows], self.votes[rows])


def read_ferplus(folder: Path, split: str) -> Faces:
    """Read the faces of `split`.

    Raises DataError where files are missing or are not what the table says.
    """
    rows = read_labels(folder, split, TILE, VOTES)
    emotion = torch.tensor([row.emotion() for row in rows])
    votes = torch.tensor([[row.whole_number(name) for name in VOTES] for row in rows]).float()
    # A single vote is as likely a slip as an opinion (Barsoum et al., ICMI 2016).
    votes = torch.where(votes > 1, votes, 0.0)
    certain = torch.nn.functional.one_hot(emotion, len(EMOTIONS)).float()
    votes = torch.where(votes.sum(dim=1, keepdim=True) > 0, votes, certain)
    grey = torch.from_numpy(read_tiles(folder, rows))
    return Faces(grey, emotion, votes / votes.sum(dim=1, keepdim=True))
