"""What an audio or a face encoder learns from: batches with everything that may befall them.

Inputs and targets are mixed in pairs (mixup, Zhang et al., ICLR 2018).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dcet.runtime.labels import EMOTIONS
from dcet.training.augment.faces import corrupt_faces
from dcet.training.augment.speech import corrupt_level, corrupt_pcm
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.speech import Speech
from dcet.training.network.audio_encoder import AudioEncoder, sums
from dcet.training.network.log_mel import LogMel

SMOOTHING = 0.1


class Heard(NamedTuple):
    """N clips of 3 s: for encoders of ours, and for teachers that listen to waveforms."""

    level: Tensor  # (N, 64, 94)
    voice: Tensor  # (N, 3, 64)
    pcm: Tensor | None  # (N, 48000)


class SpeechMaterial:
    """Clips of several corpora; the speaker's voice is known from a random number of other clips.

    With `waveforms`, everything that befalls a clip befalls its sound, so that a teacher can listen
    to what the student is given.
    """

    def __init__(
        self,
        corpora: Sequence[Speech],
        *,
        mixup: float,
        waveforms: bool = False,
        labelled: bool = True,
    ) -> None:
        self.level = torch.cat([speech.level for speech in corpora])
        self.emotion = torch.cat([speech.emotion for speech in corpora])
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

    def noisy(self, rows: Tensor) -> tuple[Heard, Tensor | None]:
        voice = torch.stack([self._voice(row) for row in rows.tolist()])
        pair = Pair.drawn(len(rows), self.mixup)
        target = smoothed(self.emotion[rows]) if self.labelled else None
        if self.waveforms:
            pcm = pair.mix(corrupt_pcm(torch.stack([self.pcm[row] for row in rows.tolist()])))
            heard = Heard(AudioEncoder.level(self.log_mel(pcm)), pair.mix(voice), pcm)
        else:
            heard = Heard(pair.mix(corrupt_level(self._level(rows))), pair.mix(voice), None)
        return heard, None if target is None else pair.mix(target)

    def _level(self, rows: Tensor) -> Tensor:
        """Of corrupted sound where there is sound, else as it was stored."""
        level = self.level[rows]
        sounding = [place for place, row in enumerate(rows.tolist()) if row in self.pcm]
        if sounding:
            pcm = torch.stack([self.pcm[int(rows[place])] for place in sounding])
            level[sounding] = AudioEncoder.level(self.log_mel(corrupt_pcm(pcm)))
        return level

    def _voice(self, row: int) -> Tensor:
        """From none to all of the other clips, in half of the cases few as likely as many."""
        others = self.others[row]
        share = float(torch.rand(()))
        count = int(len(others) * share if torch.rand(()) < 0.5 else len(others) ** share - 0.9)
        chosen = others[torch.randint(len(others), (count,))]
        return self.sums[chosen[chosen != row]].sum(dim=0)


class FaceMaterial:
    """Faces, and the crowd's votes."""

    def __init__(self, faces: Faces, *, mixup: float, labelled: bool = True) -> None:
        self.faces, self.mixup, self.labelled = faces, mixup, labelled

    def __len__(self) -> int:
        return len(self.faces)

    def noisy(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Grey faces (N, 48, 48) in [0, 255] and their votes."""
        pair = Pair.drawn(len(rows), self.mixup)
        grey = pair.mix(corrupt_faces(self.faces.grey[rows].float()))
        return grey, pair.mix(self.faces.votes[rows]) if self.labelled else None


class Pair(NamedTuple):
    """Whom each of N examples is mixed with, and how much of it stays."""

    partner: Tensor
    share: float

    @classmethod
    def drawn(cls, count: int, mixup: float) -> "Pair":
        """`mixup` is the parameter of the Beta distribution; 0 mixes nothing."""
        if not mixup:
            return cls(torch.arange(count), 1.0)
        share = float(torch.distributions.Beta(mixup, mixup).sample())
        return cls(torch.randperm(count), share)

    def mix(self, x: Tensor) -> Tensor:
        """(N, …) -> (N, …)."""
        return self.share * x + (1 - self.share) * x[self.partner]


def smoothed(emotion: Tensor) -> Tensor:
    """(N,) labels -> (N, 7) rows that sum to 1."""
    target = one_hot(emotion, len(EMOTIONS)).float()
    return (1 - SMOOTHING) * target + SMOOTHING / len(EMOTIONS)
