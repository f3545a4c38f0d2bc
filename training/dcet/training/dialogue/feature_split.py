"""A split of a DVCEA data set, as the training of fusion and memory takes it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dcet.data.dvcea import Dvcea
from dcet.data.meld import Dialogue, Utterance
from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS, SENTIMENT_VALUES
from dcet.training.corpora.dvcea import NOT_LABELLED, DialogueTensors, Labels, TorchDvcea
from dcet.training.dialogue.batches import NONE, Batch, Example, collate
from dcet.training.dialogue.forward import DIALOGUES_AT_ONCE
from dcet.training.network.model import FusionInputs, ModelConfig


@dataclass(frozen=True, slots=True)
class FeatureSplit:
    """Dialogues whose features stay in the mapped files until they are needed."""

    items: list[Example]  # without tokens
    tensors: TorchDvcea
    dialogues: list[Dialogue]  # of the turns that are labelled

    @classmethod
    def read(cls, dvcea: Dvcea, name: str, config: ModelConfig) -> "FeatureSplit":
        """Read the labels of a split. Raises DataError where it is not there or has none.

        In figures a turn whose sentiment nobody labelled counts as neutral.
        """
        try:
            part = dvcea.split(name)
        except KeyError as error:
            raise DataError(f"{dvcea.manifest.folder}: {error.args[0]}") from error
        lengths = {"audio": config.audio_length, "visual": config.face_length}
        tensors = TorchDvcea(part, lengths=lengths)
        items = [_example(tensors.labels(place)) for place in range(len(tensors))]
        dialogues = [_dialogue(dialogue) for dialogue in part.dialogues]
        if not any(dialogue.turns for dialogue in dialogues):
            raise DataError(
                f"{dvcea.manifest.folder}: expected labels in the split {name}, got none; build "
                "it from annotations with emotions"
            )
        return cls(items, tensors, dialogues)

    @property
    def emotion(self) -> Tensor:
        """The labels (n,) of all turns, NOT_LABELLED where there is none."""
        return torch.cat([item.emotion for item in self.items])

    def batch(self, places: Sequence[int]) -> tuple[Batch, FusionInputs]:
        """Read some dialogues."""
        inputs = [_inputs(self.tensors[place]) for place in places]
        joined = FusionInputs(*(torch.cat(parts) for parts in zip(*inputs, strict=True)))
        return collate([self.items[place] for place in places]), joined

    def in_order(self) -> Iterator[tuple[Batch, FusionInputs]]:
        """Read all dialogues, some at once."""
        for start in range(0, len(self.items), DIALOGUES_AT_ONCE):
            yield self.batch(range(start, min(start + DIALOGUES_AT_ONCE, len(self.items))))


def only(inputs: FusionInputs, kept: Tensor) -> FusionInputs:
    """Hide modalities of N turns: kept (N, 3), 1 where one may stay."""
    mask = inputs.modality_mask * kept
    return inputs._replace(
        modality_mask=mask,
        audio_mask=inputs.audio_mask * mask[:, 1:2],
        face_mask=inputs.face_mask * mask[:, 2:3],
    )


def some_hidden(inputs: FusionInputs, share: float) -> FusionInputs:
    """Hide a share of the modalities that are there, but never all of a turn."""
    kept = (torch.rand_like(inputs.modality_mask) >= share).float()
    nothing = (inputs.modality_mask * kept).sum(dim=1, keepdim=True) == 0
    return only(inputs, torch.where(nothing, torch.ones_like(kept), kept))


def _inputs(dialogue: DialogueTensors) -> FusionInputs:
    return FusionInputs(
        text=dialogue.text,
        audio=dialogue.audio,
        audio_mask=dialogue.audio_mask,
        face=dialogue.visual,
        face_mask=dialogue.visual_mask,
        modality_mask=dialogue.modality_mask,
        quality=dialogue.quality,
    )


def _example(labels: Labels) -> Example:
    last: dict[int, int] = {}
    previous = []
    for place, speaker in enumerate(labels.speakers.tolist()):
        previous.append(last.get(speaker, NONE))
        last[speaker] = place
    return Example(
        tokens=((),) * len(labels.speakers),
        speakers=labels.speakers,
        emotion=labels.emotion,
        sentiment=labels.sentiment,
        previous=torch.tensor(previous),
        soft=torch.zeros(len(labels.speakers), len(EMOTIONS)),
    )


def _dialogue(dialogue: Dvcea) -> Dialogue:
    names = ("speaker", "emotion", "sentiment", "text", "dialogue")
    rows = zip(*(dialogue.column(name) for name in names), dialogue.rows.tolist(), strict=True)
    turns = [
        Utterance(
            speaker=speaker,
            text=text or "",
            emotion=EMOTIONS.index(emotion),
            sentiment=SENTIMENT_VALUES.get(sentiment, 0),
            row=row,
            line=row,
        )
        for speaker, emotion, sentiment, text, _, row in rows
        if emotion is not None
    ]
    return Dialogue(dialogue.column("dialogue")[0], tuple(turns))


def is_labelled(emotion: Tensor) -> Tensor:
    """Tell which of the labels (n,) are there: (n,) bool."""
    return emotion != NOT_LABELLED
