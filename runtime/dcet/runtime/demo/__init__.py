"""A scripted conversation, and `python -m dcet.runtime.demo BUNDLE`, which plays it."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

TITLE = "Where is Pixel?"

Camera = Literal["on", "dark", "off"]
Microphone = Literal["on", "noisy", "off"]


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """One line of the script."""

    speaker: str
    text: str
    emotion: str  # that voice and face act
    camera: Camera = "on"
    microphone: Microphone = "on"


def scripted_conversation() -> tuple[ScriptedTurn, ...]:
    """Thirty turns of three people, one of whom joins late; all seven emotions occur.

    For some turns the camera is in the dark or off, for others the room is loud or the microphone
    off.
    """
    lines = json.loads(files(__name__).joinpath("conversation.json").read_text("utf-8"))
    return tuple(ScriptedTurn(**line) for line in lines)
