"""What an agent needs to know of each speaker: their emotion now, since when, and what was before.

Two turns in a row that name another emotion change a course, or one that names it by a clear lead;
a single doubtful turn does not, so that a course does not flicker.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.options import is_whole
from dcet.runtime.printable import printable
from dcet.runtime.trajectory import EARLIER, Trajectory

LEAD = 0.15  # of probability, by which one turn alone changes a course
LAST_SPANS = 6  # of a course
_DETAILS = 3  # how much a sentence may say of a speaker: 0, 1 or 2

Count = Callable[[str], int]  # of the tokens of a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Turns of one speaker, one after the other, of one emotion."""

    emotion: str
    turns: int  # of this speaker in it
    since_turn: int  # its first, in the conversation; 0: in an earlier one
    since_us: int | None  # media time of that turn; None where it had none


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSummary:
    """One speaker. The emotion is that of the last span of the course."""

    speaker: str
    turns: int  # that are remembered, up to 256
    emotion: str
    confidence: float | None  # of the last turn that named it; None: the bundle has none
    is_sure: bool  # the confidence is none below which an estimate abstains
    sentiment: float  # mean of the last span, from -1 to 1
    since_turn: int
    since_us: int | None
    last_turn: int  # when they spoke last
    last_us: int | None
    course: tuple[Span, ...]  # oldest first, at most the last six


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All speakers who are remembered, the one heard last first."""

    turns: int  # of the conversation
    speakers: tuple[SpeakerSummary, ...]
    text: str  # the same as a paragraph of so many tokens at most; what does not fit is left out

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as values that JSON has."""
        made = asdict(self)
        for speaker in made["speakers"]:
            speaker["course"] = list(speaker["course"])
        return {**made, "speakers": list(made["speakers"])}


def summarise(
    turns: int,
    trajectories: Iterable[Trajectory],
    *,
    abstain_below: float,
    max_tokens: int,
    count: Count,
) -> Summary:
    """Summarise a conversation of so many turns.

    trajectories: of the speakers, the one heard last first

    The text has at most `max_tokens` tokens, counted with `count`. Raises ConfigError.
    """
    if not is_whole(max_tokens) or max_tokens < 1:
        raise ConfigError(f"max_tokens: expected a whole number from 1, got {max_tokens!r}")
    speakers = tuple(_summarise_speaker(each, abstain_below) for each in trajectories)
    return Summary(turns=turns, speakers=speakers, text=_tell(speakers, max_tokens, count))


def find_spans(probabilities: Floats) -> list[tuple[int, int]]:
    """Divide turns, (n, 7) with n from 1, into spans of one emotion: the place of the first turn of
    each and the number of its emotion."""
    named = probabilities.argmax(axis=1)
    spans = [(0, int(named[0]))]
    for place in range(1, len(named)):
        top, (began, current) = int(named[place]), spans[-1]
        if top == current:
            continue
        lead = probabilities[place, top] - probabilities[place, current]
        if named[place - 1] == top and place - 1 > began:
            spans.append((place - 1, top))
        elif lead >= LEAD:
            spans.append((place, top))
    return spans


def _summarise_speaker(trajectory: Trajectory, abstain_below: float) -> SpeakerSummary:
    probabilities, count = trajectory.probabilities, len(trajectory.turns)
    found = find_spans(probabilities)
    begins = [*(began for began, _ in found), count]
    times = [int(time) if time >= 0 else None for time in trajectory.times_us]
    course = tuple(
        Span(
            emotion=EMOTIONS[emotion],
            turns=end - began,
            since_turn=int(trajectory.turns[began]),
            since_us=times[began],
        )
        for (began, emotion), (_, end) in zip(found, pairwise(begins), strict=True)
    )
    began, emotion = found[-1]
    (naming,) = np.nonzero(probabilities[began:].argmax(axis=1) == emotion)
    confidence = float(trajectory.confidence[began + naming[-1]])
    is_known = not np.isnan(confidence)
    return SpeakerSummary(
        speaker=trajectory.speaker,
        turns=count,
        emotion=EMOTIONS[emotion],
        confidence=confidence if is_known else None,
        is_sure=not is_known or confidence >= abstain_below,
        sentiment=float(trajectory.sentiment[began:].mean()),
        since_turn=course[-1].since_turn,
        since_us=course[-1].since_us,
        last_turn=int(trajectory.turns[-1]),
        last_us=times[-1],
        course=course[-LAST_SPANS:],
    )


def _tell(speakers: Sequence[SpeakerSummary], max_tokens: int, count: Count) -> str:
    """Tell of as many speakers as there is room for, the last first, and of them as much."""

    def joined(sentences: list[str]) -> str:
        left = len(speakers) - len(sentences)
        return " ".join(sentences + [f"And {left} more."] * (left > 0))

    def fits(sentences: list[str]) -> bool:
        return count(joined(sentences)) <= max_tokens

    told: list[str] = []
    longer: list[str] = []
    for speaker in speakers:
        longer = [*longer, _sentence(speaker, 0)]
        if count(" ".join(longer)) > max_tokens:
            break
        told = longer if fits(longer) else told
    for detail in range(1, _DETAILS):
        for place in range(len(told)):
            longer = [*told[:place], _sentence(speakers[place], detail), *told[place + 1 :]]
            if not fits(longer):
                break
            told = longer
    return joined(told) if fits(told) else ""


def _sentence(speaker: SpeakerSummary, detail: int) -> str:
    said = f"{' '.join(printable(speaker.speaker).split())}: {speaker.emotion}"
    if not speaker.is_sure:
        said += " (unsure)"
    if detail > 0:
        said += f" since {_when(speaker.since_turn, speaker.since_us)}"
        if speaker.confidence is not None:
            said += f", confidence {speaker.confidence:.2f}"
    before = [span.emotion for span in speaker.course[:-1]]
    if detail > 1:
        said += f", sentiment {speaker.sentiment:+.1f}"
        said += f"; before that {', '.join(before)}" if before else ""
    return f"{said}."


def _when(turn: int, time_us: int | None) -> str:
    if turn == EARLIER:
        return "an earlier conversation"
    if time_us is None:
        return f"turn {turn}"
    minutes, seconds = divmod(time_us // 1_000_000, 60)
    return f"{minutes}:{seconds:02}"
