"""Constructed conversations: real words, voices and faces that never belonged together.

No corpus here has text, sound and face of the same moment. So each speaker of a written dialogue of
MELD is played by an actor of RAVDESS, and each turn gets a clip of that actor and faces of FER+
with the turn's own label. The words of the clip are not those of the text, and the faces of a turn
are of different people. Figures from such conversations are called constructed wherever they stand;
they compare conditions with each other and are no accuracy in the world.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcet.data.meld import Dialogue, read_meld
from dcet.data.recordings import Actor, Clip, Faces, read_actors, read_faces
from dcet.runtime.errors import DataError

CONSTRUCTED = (
    "constructed: MELD's text, with RAVDESS clips and FER+ faces of the same label; they were "
    "never recorded together"
)
MAX_FACES = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One turn. None stands for a sense that is missing."""

    speaker: str
    emotion: int  # index into EMOTIONS
    text: str | None
    audio: Clip | None
    faces: NDArray[np.uint8] | None  # (n, 48, 48) grey, n from 1 to 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """What conversations of one split are made of."""

    split: str
    dialogues: tuple[Dialogue, ...]
    actors: tuple[Actor, ...]
    faces: Faces
    words: tuple[str, ...]  # of all dialogues, as often as they are said


def read_material(folder: Path, split: str) -> Material:
    """`meld`, `ravdess` and `ferplus` in `folder`. Raises DataError."""
    table = folder / "meld" / f"{split}_sent_emo.csv"
    dialogues = read_meld(table)
    if not dialogues:
        raise DataError(f"{table}: no utterance to play; expected at least one row")
    return Material(
        split=split,
        dialogues=tuple(dialogues),
        actors=read_actors(folder / "ravdess", split),
        faces=read_faces(folder / "ferplus", split),
        words=tuple(
            word for dialogue in dialogues for turn in dialogue.turns for word in turn.text.split()
        ),
    )


def construct(material: Material, dialogues: int, seed: int) -> list[list[Scene]]:
    """At most `dialogues` of them, the same for the same seed; of more dialogues, fewer are a part.

    Speakers of one dialogue have different actors, as far as there are as many.
    """
    chosen = np.random.default_rng(seed).permutation(len(material.dialogues))[:dialogues]
    return [
        _stage(material, material.dialogues[index], np.random.default_rng([seed, index]))
        for index in chosen
    ]


def _stage(material: Material, dialogue: Dialogue, rng: np.random.Generator) -> list[Scene]:
    speakers = list(dict.fromkeys(turn.speaker for turn in dialogue.turns))
    actors = rng.permutation(len(material.actors))
    cast = {name: material.actors[actors[i % len(actors)]] for i, name in enumerate(speakers)}
    scenes = []
    for turn in dialogue.turns:
        clips = cast[turn.speaker][turn.emotion]
        scene = Scene(
            speaker=turn.speaker,
            emotion=turn.emotion,
            text=turn.text,
            audio=clips[rng.integers(len(clips))],
            faces=some_faces(material.faces, turn.emotion, rng),
        )
        scenes.append(scene)
    return scenes


def some_faces(faces: Faces, emotion: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One to eight different faces of an emotion."""
    known = faces[emotion]
    count = min(int(rng.integers(1, MAX_FACES + 1)), len(known))
    return known[rng.choice(len(known), count, replace=False)]


def count_turns(scenes: Sequence[Sequence[Scene]]) -> int:
    return sum(map(len, scenes))
