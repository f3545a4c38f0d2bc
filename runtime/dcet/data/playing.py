"""What a bundle answers when labelled conversations are played through it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dcet.data.turns import LabelledTurn, Turns
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.engines.protocol import Engine
from dcet.runtime.errors import EmptyTurn
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS

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

    def take(turn: LabelledTurn) -> Estimate:
        return conversation.turn(
            turn.speaker,
            turn.text,
            turn.audio,
            turn.faces or None,
            sample_rate_hz=turn.sample_rate_hz,
        )

    return np.array(
        [
            probabilities
            for of_conversation in turns.conversations.values()
            for _, probabilities in answers(conversation, of_conversation, take)
        ]
    )


class Spoken(Protocol):
    """A turn of somebody."""

    @property
    def speaker(self) -> str: ...


Turn = TypeVar("Turn", bound=Spoken)


def answers(
    conversation: Conversation, turns: Iterable[Turn], take: Callable[[Turn], Estimate]
) -> Iterator[tuple[Estimate | None, NDArray[np.float64]]]:
    """Each turn's estimate, None where nothing of it could be used, and the probabilities (7,) that
    a host then knows: those, the speaker's last ones, or neutral. The memory is empty at first."""
    conversation.reset()
    last: dict[str, NDArray[np.float64]] = {}
    for turn in turns:
        try:
            estimate: Estimate | None = take(turn)
        except EmptyTurn:
            estimate = None
        if estimate is not None:
            last[turn.speaker] = np.array([estimate.probabilities[e] for e in EMOTIONS])
        yield estimate, last.get(turn.speaker, NEUTRAL)
