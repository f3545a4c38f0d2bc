"""Constructed conversations: real text, clips and faces that were never recorded together.

No corpus here has text, audio and faces of the same moment. So each speaker of a dialogue of MELD
is given an actor of RAVDESS, and each turn a clip of that actor and faces of FER+ with the turn's
own label. The words of the clip are not those of the text, and the faces of a turn
are of different people. Figures from such conversations are called constructed wherever they stand;
they compare conditions with each other and are no accuracy in the world.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcet.data.meld import Dialogue, read_meld
from dcet.data.recordings import ActorClips, Clip, FacesByEmotion, read_actors, read_faces
from dcet.runtime.errors import DataError

CONSTRUCTED = (
    "constructed: MELD's text, with RAVDESS clips and FER+ faces of the same label; they were "
    "never recorded together"
)
MAX_FACES = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConstructedTurn:
    """One turn; None stands for a missing modality."""

    speaker: str
    emotion: int  # index into EMOTIONS
    text: str | None
    audio: Clip | None
    faces: NDArray[np.uint8] | None  # (n, 48, 48) grey, n from 1 to 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """The dialogues, clips and faces that conversations of one split are made of."""

    split: str
    dialogues: tuple[Dialogue, ...]
    actors: tuple[ActorClips, ...]
    faces: FacesByEmotion
    words: tuple[str, ...]  # of all dialogues, as often as they occur


def read_material(folder: Path, split: str) -> Material:
    """Read `meld`, `ravdess` and `ferplus` in `folder`. Raises DataError or MissingExtra."""
    table = folder / "meld" / f"{split}_sent_emo.csv"
    dialogues = read_meld(table)
    if not dialogues:
        raise DataError(f"{table}: expected at least one row, got none")
    return Material(
        split=split,
        dialogues=tuple(dialogues),
        actors=read_actors(folder / "ravdess", split),
        faces=read_faces(folder / "ferplus", split),
        words=tuple(
            word for dialogue in dialogues for turn in dialogue.turns for word in turn.text.split()
        ),
    )


def construct(material: Material, dialogues: int, seed: int) -> list[list[ConstructedTurn]]:
    """Return at most `dialogues` conversations, the same for the same seed.

    Fewer are the first of more. Speakers of one dialogue have different actors, as long as there
    are enough of them.
    """
    chosen = np.random.default_rng(seed).permutation(len(material.dialogues))[:dialogues]
    return [
        _construct_dialogue(
            material, material.dialogues[index], np.random.default_rng([seed, index])
        )
        for index in chosen
    ]


def _construct_dialogue(
    material: Material, dialogue: Dialogue, rng: np.random.Generator
) -> list[ConstructedTurn]:
    speakers = list(dict.fromkeys(turn.speaker for turn in dialogue.turns))
    actors = rng.permutation(len(material.actors))
    cast = {name: material.actors[actors[i % len(actors)]] for i, name in enumerate(speakers)}
    turns = []
    for turn in dialogue.turns:
        clips = cast[turn.speaker][turn.emotion]
        constructed = ConstructedTurn(
            speaker=turn.speaker,
            emotion=turn.emotion,
            text=turn.text,
            audio=clips[rng.integers(len(clips))],
            faces=sample_faces(material.faces, turn.emotion, rng),
        )
        turns.append(constructed)
    return turns


def sample_faces(
    faces: FacesByEmotion, emotion: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw one to eight different faces of an emotion."""
    known = faces[emotion]
    count = min(int(rng.integers(1, MAX_FACES + 1)), len(known))
    return known[rng.choice(len(known), count, replace=False)]


def count_turns(conversations: Sequence[Sequence[ConstructedTurn]]) -> int:
    """Return the number of turns of all conversations."""
    return sum(map(len, conversations))
