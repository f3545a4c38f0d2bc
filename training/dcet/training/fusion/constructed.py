"""Constructed conversations: real words, voices and faces that never belonged together.

There is no corpus here in which text, sound and face are of the same moment. So each speaker of a
written dialogue gets an actor, and each turn a clip of that actor and faces of the emotion the turn
is labelled with. What is measured on such conversations is called constructed wherever it stands.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.training.dialogue.batches import Example
from dcet.training.dialogue.forward import Senses
from dcet.training.fusion.clips import Clips
from dcet.training.network.model import ModelConfig

FINE, CORRUPT, WRONG, MISSING = range(4)  # what may have become of a modality in a turn
OUTCOMES = (MISSING, CORRUPT)  # equally likely in a turn that is struck
# Faces often do not show what is meant, even those of the right person.
FACE_OUTCOMES = (MISSING, CORRUPT, *[WRONG] * 6)
STRETCH = 4  # turns that a burst lasts on average


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of each modality in each of N turns."""

    fate: Tensor  # (N, 3)

    @classmethod
    def same(cls, turns: int, **fates: int) -> "Plan":
        """The same in every turn: `text`, `audio` and `face` are FINE unless said otherwise."""
        row = [fates.get(name, FINE) for name in MODALITIES]
        return cls(torch.tensor(row).expand(turns, len(MODALITIES)))


def random_plan(turns: int) -> Plan:
    """For each modality on its own: always there, gone or bad now and then, or in bursts.

    A turn of which nothing would be left keeps its text.
    """
    fate = torch.stack([_fates(turns, face=name == "face") for name in MODALITIES], dim=1)
    if torch.rand(()) < 0.15:  # a conversation in which one modality, or two, do not exist
        gone = torch.rand(len(MODALITIES)) < 0.5
        fate[:, gone] = MISSING
    nothing = (fate == MISSING).all(dim=1)
    fate[nothing, 0] = FINE
    return Plan(fate)


def _fates(turns: int, *, face: bool) -> Tensor:
    """(turns,) of one modality in one conversation."""
    kind = float(torch.rand(()))
    rate = 0.9 * torch.rand(())
    if kind < 0.35:
        struck = torch.zeros(turns, dtype=torch.bool)
    elif kind < 0.65:
        struck = torch.rand(turns) < rate
    else:
        struck = _bursts(turns, float(rate))
    choices = torch.tensor(FACE_OUTCOMES if face else OUTCOMES)
    if kind < 0.65:  # each turn has its own fate, a burst has one
        happened = choices[torch.randint(len(choices), (turns,))]
    else:
        happened = choices[torch.randint(len(choices), (1,))].expand(turns)
    return torch.where(struck, happened, FINE)


def _bursts(turns: int, rate: float) -> Tensor:
    """A Gilbert channel (Bell Syst. Tech. J. 1960): stretches of about `STRETCH` turns."""
    leave = 1 / STRETCH
    enter = leave * rate / (1 - rate)
    struck, state = torch.zeros(turns, dtype=torch.bool), float(torch.rand(())) < rate
    for turn in range(turns):
        struck[turn] = state
        state = float(torch.rand(())) < (1 - leave if state else enter)
    return struck


@dataclass(slots=True)
class Studio:
    """Draws clips and faces that fit what is said. Draws from torch's global generator."""

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

    def senses(self, dialogue: Example, plan: Plan) -> Senses:
        """Cast the speakers and play every turn as `plan` says."""
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
            _, heard, seen = plan.fate[turn].tolist()
            actor = int(cast[(speaker - 1) % len(cast)])
            if (rows := self._draw("audio", actor, emotion, heard)) is not None:
                rows = _pick(rows, 1 + int(3 * torch.rand(()) ** 2))  # windows: one most often
                audio[turn, : len(rows)] = self.audio.features[rows]
                audio_mask[turn, : len(rows)] = 1
                quality[turn, 1] = self.audio.quality[rows].mean()
            shown = int(torch.randint(len(EMOTIONS), ())) if seen == WRONG else emotion
            if (rows := self._draw("face", 0, shown, seen)) is not None:
                rows = _pick(rows, int(torch.randint(1, config.face_length + 1, ())))
                face[turn, : len(rows)] = self.face.features[rows]
                face_mask[turn, : len(rows)] = 1
                quality[turn, 2] = self.face.quality[rows].mean()
        read = (plan.fate[:, 0] != MISSING).float()
        present = torch.stack([read, audio_mask[:, 0], face_mask[:, 0]], dim=1)
        present[present.sum(dim=1) == 0, 0] = 1
        return Senses(audio, audio_mask, face, face_mask, present, quality)

    def _draw(self, name: str, person: int, emotion: int, fate: int) -> Tensor | None:
        """Where the clips are; None where there is none of the kind."""
        if fate == MISSING:
            return None
        return self._rows.get((name, person, emotion, fate != CORRUPT))


def _pick(rows: Tensor, count: int) -> Tensor:
    return rows[torch.randint(len(rows), (count,))]
