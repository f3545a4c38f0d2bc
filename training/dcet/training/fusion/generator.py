"""Constructed conversations: text, speech and faces that were never recorded together.

No corpus here has text, speech and face of the same moment. So each speaker of a written dialogue
is given an actor, and each turn a clip of that actor and faces of the turn's labelled emotion, or
neutral or wrong ones: most people show little of what they feel, and actors all of it.
Figures on such conversations are called constructed wherever they appear.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.training.dialogue.batches import Example
from dcet.training.fusion.clips import Clips
from dcet.training.fusion.outcomes import CORRUPT, MISSING, WRONG, Outcomes
from dcet.training.network.model import Dcet, FusionInputs, ModelConfig

NEUTRAL = EMOTIONS.index("neutral")
# Shares of the turns in which a voice, or a face, shows nothing of what is felt, or is mistaken for
# something else, as happens away from the stage.
UNMOVED, MISTAKEN = 0.4, 0.2


@dataclass(slots=True)
class Generator:
    """A source of clips and faces that fit a dialogue. Draws from torch's global generator."""

    audio: Clips
    face: Clips
    config: ModelConfig
    _rows: dict[tuple[str, int, int, bool], Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self._rows = {}
        for name, clips in (("audio", self.audio), ("face", self.face)):
            keys = zip(
                clips.speaker.tolist(),
                clips.emotion.tolist(),
                (clips.kind == 0).tolist(),
                strict=True,
            )
            places: dict[tuple[int, int, bool], list[int]] = defaultdict(list)
            for place, key in enumerate(keys):
                places[key].append(place)
            self._rows |= {(name, *key): torch.tensor(found) for key, found in places.items()}

    def inputs(self, dialogue: Example, text: Tensor, outcomes: Outcomes) -> FusionInputs:
        """Give every speaker an actor, and every turn clips and faces as its outcomes say.

        text: the features of the dialogue's turns, (N, text_width)
        """
        count, config = len(dialogue.emotion), self.config
        actors = self.audio.speaker.unique()
        cast = actors[torch.randperm(len(actors))]
        audio = torch.zeros(count, config.audio_length, config.audio_width)
        audio_mask = torch.zeros(count, config.audio_length)
        face = torch.zeros(count, config.face_length, config.face_width)
        face_mask = torch.zeros(count, config.face_length)
        quality = torch.ones(count, len(MODALITIES))
        for turn, (speaker, emotion) in enumerate(
            zip(dialogue.speakers.tolist(), dialogue.emotion.tolist(), strict=True)
        ):
            _, audio_outcome, face_outcome = outcomes.table[turn].tolist()
            actor = int(cast[(speaker - 1) % len(cast)])
            heard = _shown(emotion)
            if (rows := self._rows_of("audio", actor, heard, audio_outcome)) is not None:
                rows = _pick(rows, 1 + int(3 * torch.rand(()) ** 2))  # windows: one most often
                audio[turn, : len(rows)] = self.audio.features[rows]
                audio_mask[turn, : len(rows)] = 1
                quality[turn, 1] = self.audio.quality[rows].mean()
            shown = _shown(emotion)
            if face_outcome == WRONG:
                shown = int(torch.randint(len(EMOTIONS), ()))
            if (rows := self._rows_of("face", 0, shown, face_outcome)) is not None:
                rows = _pick(rows, int(torch.randint(1, config.face_length + 1, ())))
                face[turn, : len(rows)] = self.face.features[rows]
                face_mask[turn, : len(rows)] = 1
                quality[turn, 2] = self.face.quality[rows].mean()
        text_mask = (outcomes.table[:, 0] != MISSING).float()
        present = torch.stack([text_mask, audio_mask[:, 0], face_mask[:, 0]], dim=1)
        present[present.sum(dim=1) == 0, 0] = 1
        return FusionInputs(text, audio, audio_mask, face, face_mask, present, quality)

    def alone(self, count: int) -> tuple[FusionInputs, Tensor]:
        """Draw turns of one voice alone, then as many of one face, and their emotions.

        Returns 2 · count of each.
        """
        config = self.config
        inputs = FusionInputs(
            text=torch.zeros(2 * count, config.text_width),
            audio=torch.zeros(2 * count, config.audio_length, config.audio_width),
            audio_mask=torch.zeros(2 * count, config.audio_length),
            face=torch.zeros(2 * count, config.face_length, config.face_width),
            face_mask=torch.zeros(2 * count, config.face_length),
            modality_mask=torch.zeros(2 * count, len(MODALITIES)),
            quality=torch.ones(2 * count, len(MODALITIES)),
        )
        voices, faces = slice(count), slice(count, None)
        heard = torch.randint(len(self.audio.emotion), (count,))
        seen = torch.randint(len(self.face.emotion), (count,))
        inputs.audio[voices, 0], inputs.face[faces, 0] = (
            self.audio.features[heard],
            self.face.features[seen],
        )
        inputs.audio_mask[voices, 0] = inputs.face_mask[faces, 0] = 1
        inputs.modality_mask[voices, 1] = inputs.modality_mask[faces, 2] = 1
        inputs.quality[voices, 1] = self.audio.quality[heard]
        inputs.quality[faces, 2] = self.face.quality[seen]
        return inputs, torch.cat([self.audio.emotion[heard], self.face.emotion[seen]])

    def _rows_of(self, name: str, speaker: int, emotion: int, outcome: int) -> Tensor | None:
        """Return the rows of the clips to choose from; None where there are none."""
        if outcome == MISSING:
            return None
        return self._rows.get((name, speaker, emotion, outcome != CORRUPT))


@torch.no_grad()
def by_itself(model: Dcet, inputs: FusionInputs) -> Tensor:
    """Return what the encoders' own heads say of turns of one voice or one face: (N, 7)."""
    assert model.audio is not None
    assert model.face is not None
    heard = model.audio.head(inputs.audio[:, 0]) * inputs.audio_mask[:, :1]
    seen = model.face.head(inputs.face[:, 0]) * inputs.face_mask[:, :1]
    said: Tensor = (heard + seen).softmax(dim=-1)
    return said


def _shown(emotion: int) -> int:
    """Draw what is shown of an emotion."""
    drawn = float(torch.rand(()))
    if drawn < UNMOVED:
        return NEUTRAL
    return int(torch.randint(len(EMOTIONS), ())) if drawn < UNMOVED + MISTAKEN else emotion


def _pick(rows: Tensor, count: int) -> Tensor:
    """Draw `count` of the rows, with replacement."""
    return rows[torch.randint(len(rows), (count,))]
