"""Answers turns: interims from a preview, a final that the memory takes, and one revision.

The memory takes a turn once. Where words are expected and none are there yet, the final is a preview, and
the memory waits: for the words, until the next turn of anybody is answered, or for 10 s of media
time. Words that come later than that revise the estimate, and the memory keeps the turn without them.
"""  # noqa: E501

import time
from collections import deque
from dataclasses import dataclass, field, replace

from dcet.live.counters import Counters, Fate
from dcet.live.people import People, Who
from dcet.live.reporter import Reporter, Spoken
from dcet.live.texts import Words, join
from dcet.live.timeline import SECOND_US
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import DcetError, EmptyTurn
from dcet.runtime.estimate import Estimate
from dcet.runtime.senses.encoded import Encoded
from dcet.runtime.turn import Features

REMEMBERED = 16  # turns whose words may still come
PATIENCE_US = 10 * SECOND_US  # with which the memory waits for words
REST_US = 2 * SECOND_US  # after the first late words, in which the rest of them may come
COVERED_US = 500_000  # words that reach so near to the end of a turn are all of it


@dataclass(slots=True, eq=False)
class _Answered:
    """A turn whose words may still come."""

    spoken: Spoken
    encoded: Encoded | None
    late: list[Words] = field(default_factory=list)
    is_remembered: bool = False
    is_revised: bool = False
    rest_until_us: int | None = None


class Answers:
    """Makes an event of each turn, and remembers it in the conversation."""

    def __init__(
        self,
        conversation: Conversation,
        people: People,
        counters: Counters,
        reporter: Reporter,
    ) -> None:
        self._conversation = conversation
        self._people = people
        self._counters = counters
        self._say = reporter.say
        self._answered: deque[_Answered] = deque(maxlen=REMEMBERED)
        self._waiting: _Answered | None = None  # is not remembered yet

    def interim(self, spoken: Spoken) -> None:
        """Say how it looks so far. The memory never hears of it."""
        started = time.perf_counter()
        try:
            encoded = self._encode(spoken)
            estimate = self._preview(spoken, encoded)
        except EmptyTurn:
            return  # there is nothing to tell yet
        self._say("interim", spoken, estimate, started)

    def final(self, spoken: Spoken, *, awaits_words: bool) -> None:
        """Answer a turn that has ended, and remember it, or wait for its words."""
        self.remember()
        started = time.perf_counter()
        encoded, estimate = None, None
        waits = awaits_words and not any(words.is_final for words in spoken.words)
        try:
            encoded = self._encode(spoken)
            answer = self._preview if waits else self._turn
            estimate = answer(spoken, encoded)
        except DcetError as error:
            spoken.left_out.append(str(error))
        answered = _Answered(spoken, encoded, is_remembered=not waits)
        self._answered.append(answered)
        if waits:
            self._waiting = answered
        fate: Fate = "dropped" if estimate is None else "used"
        self._counters.settle("texts", fate, len(spoken.words))
        self._say("final", spoken, estimate, started)

    def find(self, words: Words) -> int | None:
        """Return the answered turn in which words were said; None, in none of them."""
        overlaps = {
            answered.spoken.turn_id: words.overlap_us(
                answered.spoken.start_us, answered.spoken.end_us
            )
            for answered in self._answered
        }
        best = max(overlaps, key=overlaps.__getitem__, default=None)
        return best if best is not None and overlaps[best] else None

    def late(self, turn_id: int, words: Words, *, now_us: int, is_all: bool = False) -> None:
        """Take words of a turn that was answered without them; revise it once they are complete."""
        answered = next((each for each in self._answered if each.spoken.turn_id == turn_id), None)
        if answered is None or answered.is_revised or not words.is_final:
            why = "the turn was revised already" if answered else "the turn is too long ago"
            self._counters.settle("texts", "late", why=why)
            return
        answered.late.append(words)
        answered.rest_until_us = answered.rest_until_us or now_us + REST_US
        if is_all or words.end_us >= answered.spoken.end_us - COVERED_US:
            self._revise(answered)

    def tick(self, now_us: int) -> None:
        """Do what is due at this media time."""
        for answered in self._answered:
            if answered.late and (answered.rest_until_us or 0) <= now_us:
                self._revise(answered)
        waiting = self._waiting
        if waiting is not None and waiting.spoken.end_us + PATIENCE_US <= now_us:
            self.remember()

    def flush(self) -> None:
        """Revise what waits for the rest of its words, and remember what waits for any."""
        for answered in self._answered:
            if answered.late:
                self._revise(answered)
        self.remember()

    def remember(self) -> None:
        """Let the memory take the turn that waits for its words."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.encoded is None:
            return
        waiting.is_remembered = True
        try:
            self._turn(waiting.spoken, waiting.encoded)
        except DcetError as error:  # told in its final, too
            self._counters.note(f"turns not remembered: {type(error).__name__}")

    def forget(self, speaker: str | None = None) -> None:
        """Drop what is kept of this speaker's turns, or of all."""
        for answered in list(self._answered):
            if speaker is None or answered.spoken.who.speaker == speaker:
                self._answered.remove(answered)
                self._counters.settle("texts", "dropped", len(answered.late), why="forgotten")
                if self._waiting is answered:
                    self._waiting = None

    def _encode(self, spoken: Spoken) -> Encoded:
        """Add the words and the faces to the sound."""
        text = join(spoken.words)
        faces = self._people.faces(spoken.who, spoken.start_us, spoken.end_us)
        encoded = self._conversation.encode(
            spoken.who.speaker,
            text=text,
            faces=None if faces is None else Features(faces.features),
            after=spoken.encoded,
        )
        if faces is None:
            return encoded
        return replace(encoded, quality={**encoded.quality, "face": faces.quality})

    def _preview(self, spoken: Spoken, encoded: Encoded) -> Estimate:
        return self._conversation.preview(spoken.who.speaker, encoded=encoded)

    def _turn(self, spoken: Spoken, encoded: Encoded) -> Estimate:
        return self._conversation.turn(
            spoken.who.speaker, encoded=encoded, at_us=max(0, spoken.start_us)
        )

    def _revise(self, answered: _Answered) -> None:
        """Answer again, with the words that came late."""
        started = time.perf_counter()
        before, late = answered.spoken, answered.late
        words = [each for each in before.words if each.is_final] + late
        words.sort(key=lambda each: each.start_us)
        ahead_ms = {} if answered.encoded is None else answered.encoded.latency_ms
        spoken = replace(
            before, words=words, arrived_s=started, left_out=[], ahead_ms=ahead_ms, hangover_ms=0.0
        )
        answered.late, answered.is_revised = [], True
        estimate = None
        try:
            named = next((words.speaker for words in late if words.speaker is not None), None)
            if named is not None and named != before.who.speaker:
                spoken.who = Who(named, 1.0, before.who.face)
            encoded = self._again(spoken, answered)
            if answered.is_remembered:
                estimate = self._preview(spoken, encoded)
            else:
                self._waiting, answered.is_remembered = None, True
                estimate = self._turn(spoken, encoded)
        except DcetError as error:
            spoken.left_out.append(str(error))
        self._counters.settle("texts", "used", len(late))
        self._say("revised", spoken, estimate, started)
        before.revision = spoken.revision

    def _again(self, spoken: Spoken, answered: _Answered) -> Encoded:
        """Encode the words of a turn whose sound and faces are encoded; its sound is gone."""
        text, encoded = join(spoken.words), answered.encoded
        if encoded is None or spoken.who.speaker == answered.spoken.who.speaker:
            return self._conversation.encode(spoken.who.speaker, text=text, after=encoded)
        features = {name: Features(array) for name, array in encoded.features.items()}
        other = self._conversation.encode(
            spoken.who.speaker, text, features.get("audio"), features.get("face")
        )
        qualities = {name: encoded.quality[name] for name in ("audio", "face")}
        return replace(other, quality={**other.quality, **qualities})
