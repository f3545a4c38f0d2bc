"""A DVCEA data set as a dataset of torch."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dcet.data.dvcea import Array, Dvcea
from dcet.data.dvcea_manifest import DvceaError
from dcet.runtime.labels import EMOTIONS, SENTIMENT_VALUES

NOT_LABELLED = -100  # what torch's cross_entropy leaves out


class DialogueTensors(NamedTuple):
    """One dialogue of T turns; sequences are padded to the longest of its turns, L."""

    text: Tensor  # (T, width)
    audio: Tensor  # (T, L, width)
    audio_mask: Tensor  # (T, L), 1 where there is an item
    visual: Tensor  # (T, L, width)
    visual_mask: Tensor  # (T, L)
    modality_mask: Tensor  # (T, 3): text, audio, visual; 0 where there is nothing, and zeros stand
    quality: Tensor  # (T, 3)
    speakers: Tensor  # (T,) numbers from 1 in order of first speech
    emotion: Tensor  # (T,) index into EMOTIONS, or NOT_LABELLED
    sentiment: Tensor  # (T,) -1, 0 or 1; NaN where nobody labelled it


class Labels(NamedTuple):
    """What is known of the T turns of a dialogue; see DialogueTensors."""

    speakers: Tensor
    emotion: Tensor
    sentiment: Tensor


class TorchDvcea(Dataset[DialogueTensors]):
    """The dialogues of a set or a split of it, as float32, read when they are asked for.

    lengths: of `audio` and `visual`, the most items that a sequence keeps: the means of as many
        parts of it, of equal length, and to which it is padded; None keeps all
    """

    def __init__(self, dvcea: Dvcea, *, lengths: Mapping[str, int] | None = None) -> None:
        if not len(dvcea):
            raise DvceaError("expected a set with at least one utterance, got none")
        self.dialogues, self._lengths = dvcea.dialogues, lengths or {}
        self._widths = dvcea.manifest.widths

    def __len__(self) -> int:
        return len(self.dialogues)

    def labels(self, place: int) -> Labels:
        """Return what is known of a dialogue, without reading any features."""
        dialogue, numbers = self.dialogues[place], dict[str, int]()
        sentiments = [SENTIMENT_VALUES.get(s, math.nan) for s in dialogue.column("sentiment")]
        return Labels(
            torch.tensor(
                [numbers.setdefault(name, len(numbers) + 1) for name in dialogue.column("speaker")]
            ),
            torch.tensor(
                [
                    NOT_LABELLED if emotion is None else EMOTIONS.index(emotion)
                    for emotion in dialogue.column("emotion")
                ]
            ),
            torch.tensor([float(value) for value in sentiments]),
        )

    def __getitem__(self, place: int) -> DialogueTensors:
        turns = list(self.dialogues[place])
        text, has_text = self._padded([_row(turn.text_features) for turn in turns], "text")
        audio, audio_mask = self._padded([turn.audio for turn in turns], "audio")
        visual, visual_mask = self._padded([turn.visual for turn in turns], "visual")
        present = [mask.amax(dim=1) for mask in (has_text, audio_mask, visual_mask)]
        return DialogueTensors(
            text=text[:, 0],
            audio=audio,
            audio_mask=audio_mask,
            visual=visual,
            visual_mask=visual_mask,
            modality_mask=torch.stack(present, dim=1),
            quality=torch.tensor(
                [[turn.text_quality, turn.audio_quality, turn.visual_quality] for turn in turns]
            ),
            **self.labels(place)._asdict(),
        )

    def _padded(self, sequences: list[Array | None], name: str) -> tuple[Tensor, Tensor]:
        """Return (T, L, width), zeros where the mask (T, L) is 0. L is at least 1."""
        most = self._lengths.get(name)
        shortened = [
            None if sequence is None else shorten(torch.from_numpy(sequence).float(), most)
            for sequence in sequences
        ]
        longest = max((len(part) for part in shortened if part is not None), default=1)
        length = most or longest
        features = torch.zeros(len(sequences), length, self._widths[name])
        mask = torch.zeros(len(sequences), length)
        for turn, part in enumerate(shortened):
            if part is not None:
                features[turn, : len(part)], mask[turn, : len(part)] = part, 1
        return features, mask


def shorten(sequence: Tensor, most: int | None) -> Tensor:
    """Return (n, width) in at most `most` items: the means of parts of equal length, in order."""
    if most is None or len(sequence) <= most:
        return sequence
    return torch.stack([part.mean(dim=0) for part in sequence.tensor_split(most)])


def _row(features: Array | None) -> Array | None:
    return None if features is None else features[None]
