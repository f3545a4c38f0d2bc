"""Actors: a scripted turn becomes what a microphone and a camera record of it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.synthetic.faces import EXPRESSIONS, Look, draw_face
from dcet.synthetic.noise import room_noise
from dcet.synthetic.voices import Voice, speak

FRAMES = 4  # of a turn
BRIGHTNESS = {"on": 1.0, "dark": 0.05}  # share of the light that a good picture needs
NOISE_RMS = {"on": 0.0012, "noisy": 0.04}  # of the room; speech without effort is about 0.04
PAUSE_S = 0.2  # before and after the speech

Camera = Literal["on", "dark", "off"]
Microphone = Literal["on", "noisy", "off"]


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """One line of the script."""

    speaker: str
    text: str
    emotion: str  # that voice and face express
    camera: Camera = "on"
    microphone: Microphone = "on"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person with a voice and a face."""

    voice: Voice
    look: Look


ACTORS = {
    "Mara": Actor(
        Voice(pitch_hz=205, formants=1.13),
        Look(
            skin=(226, 178, 150),
            hair=(92, 52, 30),
            iris=(86, 110, 80),
            shirt=(150, 60, 60),
            lips=0.055,
            brows=0.034,
            jaw=0.7,
            hair_length=1.2,
            crown=0.88,
            curl=0.2,
        ),
    ),
    "Ilya": Actor(
        Voice(pitch_hz=115, formants=1.0),
        Look(
            skin=(232, 190, 165),
            hair=(150, 112, 66),
            iris=(70, 110, 150),
            shirt=(60, 80, 120),
            lips=0.04,
            brows=0.044,
            jaw=0.84,
            hair_length=-0.08,
            crown=0.8,
            curl=0.1,
        ),
    ),
    "Noor": Actor(
        Voice(pitch_hz=235, formants=1.17),
        Look(
            skin=(166, 112, 80),
            hair=(40, 28, 24),
            iris=(60, 36, 22),
            shirt=(210, 170, 70),
            lips=0.065,
            brows=0.04,
            jaw=0.72,
            hair_length=0.75,
            crown=0.9,
            curl=1.0,
        ),
    ),
}


def synthesise_audio(turn: ScriptedTurn, actor: Actor, seed: int) -> NDArray[np.float32] | None:
    """Make what the microphone records of a turn, (n,) PCM at 16 kHz; None while it is off."""
    if turn.microphone == "off":
        return None
    rng = np.random.default_rng(seed)
    spoken = speak(turn.text, turn.emotion, actor.voice, rng)
    pcm = np.pad(spoken, round(PAUSE_S * SAMPLE_RATE_HZ))
    noisy = pcm + NOISE_RMS[turn.microphone] * room_noise(len(pcm), rng)
    recorded: NDArray[np.float32] = (noisy / max(1.0, np.abs(noisy).max())).astype(np.float32)
    return recorded


def synthesise_faces(
    turn: ScriptedTurn, actor: Actor, seed: int, frames: int = FRAMES
) -> list[NDArray[np.uint8]] | None:
    """Make what the camera takes of a turn, each (96, 96, 3) RGB; None while it is off."""
    if turn.camera == "off":
        return None
    rng = np.random.default_rng(seed)
    expression = EXPRESSIONS[turn.emotion]
    return [
        draw_face(expression, actor.look, rng, brightness=BRIGHTNESS[turn.camera])
        for _ in range(frames)
    ]
