"""A scripted conversation, and `python -m dcet.demo [BUNDLE]`, which plays it.

It may import `dcet.synthetic` and `dcet.runtime`.
"""

import json
from importlib.resources import files

from dcet.synthetic.actors import ScriptedTurn

TITLE = "Where is Pixel?"


def scripted_conversation() -> tuple[ScriptedTurn, ...]:
    """Read thirty turns of three people, one of whom joins late; all seven emotions occur.

    For some turns the camera is in the dark or off, for others the room is loud or the microphone
    off.
    """
    lines = json.loads(files(__name__).joinpath("conversation.json").read_text(encoding="utf-8"))
    return tuple(ScriptedTurn(**line) for line in lines)
