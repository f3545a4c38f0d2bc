"""The answer to each turn of a labelled conversation, as a host has it: the basis of all figures.

One rule holds wherever a model is judged, in torch or through a bundle: every turn counts, also one
of which nothing can be used. It counts with the speaker's last answer, or as neutral where there is
none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcet.data.meld import Dialogue, Utterance
from dcet.data.metrics import conversation_metrics
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.senses.text import normalise_text, share_known
from dcet.runtime.turn import MAX_TEXT_CHARS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SHOWN = 5  # unusable utterances that a report names


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The answer of a model to one turn."""

    probabilities: NDArray[Any]  # (7,), in the order of EMOTIONS
    sentiment: float
    shift: float  # the probability of one; 0 on a speaker's first turn
    confidence: float | None = None  # None: the model has none


NEUTRAL = Answer(np.eye(len(EMOTIONS))[EMOTIONS.index("neutral")], sentiment=0.0, shift=0.0)


class LastAnswers:
    """The last answer of every speaker of one conversation."""

    def __init__(self) -> None:
        self._last: dict[str, Answer] = {}

    def after(self, speaker: str, answer: Answer | None) -> Answer:
        """Return what is known after a turn of which `answer` was made, or nothing."""
        last = self._last.get(speaker)
        if answer is None:
            # It says nothing of this one.
            return replace(last or NEUTRAL, shift=0.0, confidence=0.0)
        self._last[speaker] = answer
        return answer if last else replace(answer, shift=0.0)


def is_usable(tokenizer: "Tokenizer", text: str) -> bool:
    """Tell whether a conversation can make an answer of a turn of this text alone."""
    return len(text) <= MAX_TEXT_CHARS and share_known(tokenizer.encode(normalise_text(text))) > 0


def dialogue_figures(
    table: Path,
    dialogues: Sequence[Dialogue],
    answers: Iterable[Answer],
    unusable: Sequence[Utterance],
) -> dict[str, Any]:
    """Compute the figures of `metrics.conversation_metrics`, and tell how many turns were unusable.

    table: the CSV file that the dialogues were read from
    answers: one a turn, in reading order
    unusable: the turns that no answer was made of
    """
    known = list(answers)
    sure = [answer.confidence for answer in known if answer.confidence is not None]
    figures = conversation_metrics(
        dialogues,
        np.array([answer.probabilities for answer in known]),
        np.array([answer.sentiment for answer in known]),
        np.array([answer.shift for answer in known]),
        sure if len(sure) == len(known) else None,
    )
    lines = sorted(turn.line for turn in unusable)
    first = [f"{table.name}, line {line}" for line in lines[:SHOWN]]
    return {**figures, "unusable": {"n": len(unusable), "first": first}}
