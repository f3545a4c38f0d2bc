"""A scripted conversation, and `python -m dcet.runtime.demo BUNDLE`, which plays it."""

import json
from dataclasses import dataclass
from importlib.resources import files

TITLE = "Where is Pixel?"


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """One line of the script."""

    speaker: str
    text: str


def scripted_conversation() -> tuple[ScriptedTurn, ...]:
    """Thirty turns of three people, one of whom joins late; all seven emotions occur."""
    lines = json.loads(files(__name__).joinpath("conversation.json").read_text("utf-8"))
    return tuple(ScriptedTurn(**line) for line in lines)
