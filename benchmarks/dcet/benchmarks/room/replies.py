"""The reply of a bundle to a sound or a window of a video, and how much two replies agree."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime import Bundle, Conversation, Estimate
from dcet.runtime.errors import EmptyTurn
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.turn import Image

SPEAKER = "somebody"
NONE = "none"  # the label of a reply that names no emotion
NUMBER = re.compile(r"\d+(\.\d+)?")  # in a reason: reasons are counted whatever they measured


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """An estimate, or why there is none."""

    label: str  # an emotion, or NONE where no estimate was made or it abstains
    reason: str | None  # why no emotion is named
    probabilities: NDArray[np.float64] | None  # (7,), in the order of EMOTIONS; None: no estimate
    confidence: float  # of the bundle, or the top probability; 0 without an estimate
    audio_weight: float

    @property
    def is_named(self) -> bool:
        return self.label != NONE


class Listener:
    """A bundle that hears each thing as the first turn of a conversation."""

    def __init__(self, bundle: Bundle, engine: str) -> None:
        self._conversation = Conversation(bundle, engine, max_speakers=1)

    def hear(
        self,
        audio: NDArray[Any] | None,
        rate_hz: int,
        faces: Sequence[Image] | None = None,
        *,
        fresh: bool = True,
    ) -> Reply:
        """Give audio, whole frames with a face, or both.

        fresh: forget everything before
        """
        if fresh:
            self._conversation.reset()
        try:
            estimate = self._conversation.turn(
                SPEAKER, audio=audio, faces=faces, sample_rate_hz=rate_hz, whole_frames=True
            )
        except EmptyTurn as error:
            return Reply(NONE, _general(_why(str(error))), None, 0.0, 0.0)
        return _reply(estimate)


def _reply(estimate: Estimate) -> Reply:
    probabilities = np.array([estimate.probabilities[name] for name in EMOTIONS])
    abstains, confidence = estimate.abstains, estimate.confidence
    return Reply(
        label=NONE if abstains else estimate.emotion,
        reason=_general(f"abstains: {abstains}") if abstains else None,
        probabilities=probabilities,
        confidence=float(probabilities.max()) if confidence is None else confidence,
        audio_weight=estimate.modality_weights["audio"],
    )


def _why(message: str) -> str:
    """Take the reasons out of the message of an EmptyTurn."""
    return message.partition(", got ")[2].rpartition("; ")[0]


def _general(reason: str) -> str:
    return NUMBER.sub("…", reason)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a number of replies say."""

    replies: int
    named: float  # share that names an emotion
    labels: dict[str, int]  # by emotion, and NONE
    reasons: dict[str, int]  # why no emotion is named
    confidence: float | None  # mean over the estimates; None where there is none


def count_labels(replies: Sequence[Reply]) -> Labels:
    """Count the labels of at least one reply."""
    sure = [reply.confidence for reply in replies if reply.probabilities is not None]
    return Labels(
        replies=len(replies),
        named=float(np.mean([reply.is_named for reply in replies])),
        labels=dict(Counter(reply.label for reply in replies).most_common()),
        reasons=dict(Counter(reply.reason for reply in replies if reply.reason).most_common()),
        confidence=float(np.mean(sure)) if sure else None,
    )


@dataclass(frozen=True, kw_only=True)
class Steadiness:
    """How much the replies to two things that sound alike agree."""

    pairs: int
    changed: float  # share of the pairs whose labels differ; NONE is a label
    tv: float | None  # mean total variation of two estimates, abstaining or not; None without any
    silent: float  # share of the pairs in which one names no emotion, or both


def compare_replies(pairs: Iterable[tuple[Reply, Reply]]) -> Steadiness:
    """Compare the replies of at least one pair."""
    known = list(pairs)
    distances = [
        total_variation(first.probabilities, second.probabilities)
        for first, second in known
        if first.probabilities is not None and second.probabilities is not None
    ]
    return Steadiness(
        pairs=len(known),
        changed=float(np.mean([first.label != second.label for first, second in known])),
        tv=float(np.mean(distances)) if distances else None,
        silent=float(np.mean([not (one.is_named and two.is_named) for one, two in known])),
    )


def total_variation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return half the sum of the differences of two distributions, from 0 to 1."""
    return float(np.abs(first - second).sum() / 2)
