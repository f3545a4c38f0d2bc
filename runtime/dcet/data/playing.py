"""Labelled conversations, played through a bundle."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dcet.data.answers import Answer, LastAnswers
from dcet.data.turns import LabelledTurn, Turns
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import EmptyTurn, TextTooLong
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS


def play(
    bundle: Bundle, turns: Turns, engine: str | Engine = "auto", *, bank_bytes: int = 0
) -> NDArray[np.float64]:
    """Return the probabilities (n, 7) of every turn, in the order of iteration.

    Each conversation begins with an empty memory. A turn of which the bundle can use nothing counts
    as `dcet.data.answers` says. `metrics.emotion_metrics` makes figures of the probabilities.

    Raises ConfigError, MissingExtra or EngineError.
    """
    speakers = max(len({turn.speaker for turn in of}) for of in turns.conversations.values())
    conversation = Conversation(bundle, engine, max_speakers=speakers, bank_bytes=bank_bytes)

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
            played.answer.probabilities
            for of_conversation in turns.conversations.values()
            for played in answers(conversation, of_conversation, take)
        ]
    )


class HasSpeaker(Protocol):
    """A turn of any kind."""

    @property
    def speaker(self) -> str: ...


AnyTurn = TypeVar("AnyTurn", bound=HasSpeaker)


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A turn that was played."""

    answer: Answer  # what a host then knows of the speaker
    estimate: Estimate | None  # None where nothing of the turn could be used


def answers(
    conversation: Conversation,
    turns: Iterable[AnyTurn],
    take: Callable[[AnyTurn], Estimate],
) -> Iterator[Played]:
    """Play the turns of one conversation, which is empty at first; every turn counts.

    take: gives a turn to the conversation
    """
    conversation.reset()
    last = LastAnswers()
    for turn in turns:
        try:
            estimate = take(turn)
        except (EmptyTurn, TextTooLong):
            yield Played(last.after(turn.speaker, None), None)
        else:
            probabilities = np.array([estimate.probabilities[name] for name in EMOTIONS])
            answer = Answer(
                probabilities,
                estimate.sentiment,
                shift=estimate.shift or 0.0,
                confidence=estimate.confidence,
            )
            yield Played(last.after(turn.speaker, answer), estimate)
