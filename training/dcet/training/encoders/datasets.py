"""Datasets of clips and faces, which give batches that are corrupted at random.

Inputs and targets are mixed in pairs (mixup, Zhang et al., ICLR 2018).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.training.augment.faces import corrupt_faces
from dcet.training.augment.speech import corrupt_level, corrupt_pcm, cut_anywhere
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.speech import Speech
from dcet.training.network.audio_encoder import sums
from dcet.training.network.log_mel import LogMel


class Dataset(Protocol):
    """A set of n examples."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor) -> tuple[Any, Tensor | None]:
        """Corrupt the N examples with the numbers `rows` (N,) at random.

        Returns the inputs of the modality, and targets (N, 7) whose rows sum to 1, if labelled.
        """
        ...


class AudioBatch(NamedTuple):
    """A batch of N clips of 3 s, as log-mels and, for teachers that need them, as waveforms."""

    level: Tensor  # (N, 64, 94)
    voice: Tensor  # (N, 3, 64)
    pcm: Tensor | None  # (N, 48000)


class SpeechDataset:
    """Clips of several corpora; a speaker's voice is known from a random number of other clips.

    noises: (M, 64, 94), level of recorded noises to corrupt clips with

    With `waveforms`, clips are corrupted as waveforms alone, so that a teacher that needs waveforms
    is given what the student is given.
    """

    def __init__(
        self,
        corpora: Sequence[Speech],
        *,
        mixup: float,
        waveforms: bool = False,
        labelled: bool = True,
        noises: Tensor | None = None,
    ) -> None:
        self.level = torch.cat([speech.level for speech in corpora])
        self.emotion = torch.cat([speech.emotion for speech in corpora])
        if len(self.emotion) < 2:  # a batch is normalised by its own spread
            raise DataError(f"expected at least two clips of 3 s, got {len(self.emotion)}")
        self.certainty = torch.cat(
            [torch.full((len(speech),), speech.certainty) for speech in corpora]
        )
        self.noises = noises
        self.sums = sums(self.level)
        self.mixup, self.waveforms, self.labelled = mixup, waveforms, labelled
        self.pcm: dict[int, Tensor] = {}
        self.others: list[Tensor] = []  # for each clip, the clips of its speaker
        start = 0
        for speech in corpora:
            if speech.pcm is not None:
                self.pcm |= {start + i: pcm for i, pcm in enumerate(speech.pcm)}
            rows = {
                int(s): start + (speech.speaker == s).nonzero()[:, 0]
                for s in speech.speaker.unique()
            }
            self.others += [rows[int(speaker)] for speaker in speech.speaker]
            start += len(speech)
        self.log_mel = LogMel()

    def __len__(self) -> int:
        return len(self.emotion)

    def batch(self, rows: Tensor) -> tuple[AudioBatch, Tensor | None]:
        voice = torch.stack([self._voice(row) for row in rows.tolist()])
        pair = Pair.drawn(len(rows), self.mixup)
        target = smoothed(self.emotion[rows], self.certainty[rows]) if self.labelled else None
        if self.waveforms:
            pcm = pair.mix(corrupt_pcm(self._cut(rows.tolist())))
            inputs = AudioBatch(self.log_mel(pcm), pair.mix(voice), pcm)
        else:
            level = corrupt_level(self._level(rows), self.noises)
            inputs = AudioBatch(pair.mix(level), pair.mix(voice), None)
        return inputs, None if target is None else pair.mix(target)

    def _level(self, rows: Tensor) -> Tensor:
        """Return log-mels as stored, of waveforms cut anywhere where there are any."""
        level = self.level[rows]
        places = [place for place, row in enumerate(rows.tolist()) if row in self.pcm]
        if places:
            level[places] = self.log_mel(self._cut(rows[places].tolist()))
        return level

    def _cut(self, rows: Sequence[int]) -> Tensor:
        """Cut a window at random out of each clip, (N, 48000)."""
        return torch.cat([cut_anywhere(self.pcm[row][None]) for row in rows])

    def _voice(self, row: int) -> Tensor:
        """Sum over none to all of the speaker's other clips: (3, 64).

        In half of the cases any number is equally likely, in the others small ones are likelier.
        """
        others = self.others[row]
        share = float(torch.rand(()))
        count = int(len(others) * share if torch.rand(()) < 0.5 else len(others) ** share - 0.9)
        chosen = others[torch.randint(len(others), (count,))]
        return self.sums[chosen[chosen != row]].sum(dim=0)


class FaceDataset:
    """Faces with the crowd's votes."""

    def __init__(self, faces: Faces, *, mixup: float, labelled: bool = True) -> None:
        self.faces, self.mixup, self.labelled = faces, mixup, labelled

    def __len__(self) -> int:
        return len(self.faces)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return grey faces (N, 48, 48) in [0, 255] and the shares of their votes (N, 7)."""
        pair = Pair.drawn(len(rows), self.mixup)
        grey = pair.mix(corrupt_faces(self.faces.grey[rows].float()))
        return grey, pair.mix(self.faces.votes[rows]) if self.labelled else None


class Pair(NamedTuple):
    """The partner that each of N examples is mixed with, and the share of it that stays."""

    partner: Tensor
    share: float

    @classmethod
    def drawn(cls, count: int, mixup: float) -> "Pair":
        """Draw partners and a share from Beta(mixup, mixup); 0 mixes nothing."""
        if not mixup:
            return cls(torch.arange(count), 1.0)
        share = float(torch.distributions.Beta(mixup, mixup).sample())
        return cls(torch.randperm(count), share)

    def mix(self, x: Tensor) -> Tensor:
        """Mix the rows of x (N, …)."""
        return self.share * x + (1 - self.share) * x[self.partner]


def smoothed(emotion: Tensor, certainty: Tensor) -> Tensor:
    """Smooth labels (N,) by how certain they are, (N,) or one for all: (N, 7), rows sum to 1."""
    target = one_hot(emotion, len(EMOTIONS)).float()
    certainty = certainty[..., None]
    return certainty * target + (1 - certainty) / len(EMOTIONS)
