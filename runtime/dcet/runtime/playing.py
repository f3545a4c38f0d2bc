"""What a bundle answers when labelled conversations are played through it."""

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.engines import Engine
from dcet.runtime.errors import EmptyTurn
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.turns import Turns

NEUTRAL = np.eye(len(EMOTIONS))[EMOTIONS.index("neutral")]


def play(bundle: Bundle, turns: Turns, engine: str | Engine = "auto") -> NDArray[np.float64]:
    """Probabilities (n, 7) of every turn, in the order of iteration; each conversation begins with
    an empty memory.

    A turn of which the bundle can use nothing counts too: with the speaker's last estimate, or as
    neutral, which is what a host would know. `metrics.emotion_metrics` makes figures of them.

    Raises MissingExtra or EngineError.
    """
    speakers = max(len({turn.speaker for turn in of}) for of in turns.conversations.values())
    conversation = Conversation(bundle, engine, max_speakers=speakers)
    probabilities = []
    for of_conversation in turns.conversations.values():
        conversation.reset()
        last: dict[str, NDArray[np.float64]] = {}
        for turn in of_conversation:
            try:
                estimate = conversation.turn(
                    turn.speaker,
                    turn.text,
                    turn.audio,
                    turn.faces or None,
                    sample_rate_hz=turn.sample_rate_hz,
                )
            except EmptyTurn:
                pass
            else:
                last[turn.speaker] = np.array([estimate.probabilities[e] for e in EMOTIONS])
            probabilities.append(last.get(turn.speaker, NEUTRAL))
    return np.array(probabilities)
