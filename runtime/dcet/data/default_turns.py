"""The labelled turns that ship with DCET, of no real person, to calibrate models on.

Their text was written for DCET, in `default_turns.jsonl`. Each speaker has a synthetic voice and
face of their own, which express the label of the line. Audio and pictures are made on demand. A
figure on this set compares versions of a model with each other and is no accuracy in the world.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TypeVar

import numpy as np

from dcet.data.turns import LabelledTurn, Turns
from dcet.runtime.labels import EMOTIONS
from dcet.synthetic.actors import (
    Actor,
    Camera,
    Microphone,
    ScriptedTurn,
    synthesise_audio,
    synthesise_faces,
)
from dcet.synthetic.faces import Look
from dcet.synthetic.voices import Voice

T = TypeVar("T")

NAME = "dcet-calibration"
# How often microphone and camera are in each state, and how many pictures are taken.
MICROPHONE: Mapping[Microphone, float] = {"on": 0.7, "noisy": 0.2, "off": 0.1}
CAMERA: Mapping[Camera, float] = {"on": 0.75, "dark": 0.1, "off": 0.15}
PICTURES = {1: 0.3, 2: 0.3, 4: 0.25, 8: 0.15}
NO_TEXT = 0.05  # share of the turns whose text is lost
FULL_SCALE = 2**15 - 1


@cache
def default_turns() -> Turns:
    """Make all 25 conversations, with audio and faces in most turns; this takes a few seconds."""
    conversations: dict[str, list[LabelledTurn]] = defaultdict(list)
    script = files(__package__).joinpath("default_turns.jsonl").read_text(encoding="utf-8")
    for number, line in enumerate(script.splitlines()):
        row = json.loads(line)
        conversations[row.pop("conversation")].append(_turn(row, number))
    return Turns(NAME, {name: tuple(turns) for name, turns in conversations.items()})


def _turn(row: dict[str, str], number: int) -> LabelledTurn:
    rng = np.random.default_rng(number)
    line = ScriptedTurn(
        row["speaker"],
        row["text"],
        row["emotion"],
        camera=_draw(CAMERA, rng),
        microphone=_draw(MICROPHONE, rng),
    )
    actor = _cast(line.speaker)
    pcm = synthesise_audio(line, actor, seed=number)
    pictures = synthesise_faces(line, actor, seed=number, frames=_draw(PICTURES, rng))
    has_text = (pcm is None and pictures is None) or rng.random() >= NO_TEXT
    return LabelledTurn(
        speaker=line.speaker,
        emotion=EMOTIONS.index(line.emotion),
        text=line.text if has_text else None,
        audio=None if pcm is None else (pcm * FULL_SCALE).round().astype(np.int16),
        faces=tuple(pictures or ()),
    )


def _draw(shares: Mapping[T, float], rng: np.random.Generator) -> T:
    return list(shares)[rng.choice(len(shares), p=list(shares.values()))]


def _cast(speaker: str) -> Actor:
    """Return the actor of a speaker, who always has the same voice and face."""
    rng = np.random.default_rng(zlib.crc32(speaker.encode()))
    size = rng.uniform()  # from a long throat and a deep voice to a short one and a high voice
    tan = rng.uniform(0.25, 1.0)
    skin, hair, iris = rng.uniform(0.92, 1.0, 3) * tan, rng.uniform(0.15, 0.75), rng.uniform(20, 90)
    return Actor(
        Voice(pitch_hz=90 * 2.8**size, formants=0.95 + 0.24 * size),
        Look(
            skin=(120 + 112 * skin[0], 80 + 110 * skin[1], 55 + 108 * skin[2]),
            hair=(200 * hair, 145 * hair, 95 * hair),
            iris=(70.0, 60 + iris / 2, 30 + iris),
            shirt=tuple(rng.uniform(50, 210, 3)),
            lips=rng.uniform(0.035, 0.065),
            brows=rng.uniform(0.03, 0.045),
            jaw=rng.uniform(0.68, 0.86),
            hair_length=rng.uniform(-0.1, 1.2),
            crown=rng.uniform(0.78, 0.92),
            curl=rng.uniform(),
        ),
    )
