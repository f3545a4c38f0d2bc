"""Answers turns: interims from a preview, a final that the memory takes, and one revision.

The memory takes a turn once. Where words are expected and none are there yet, the final is a preview, and
the memory waits: for the words, until the next turn of anybody is answered, or for 10 s of media
time. Words that come later than that revise the estimate, and the memory keeps the turn without them.
"""  # noqa: E501

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from dcet.live.answering.alarm import Alarm
from dcet.live.answering.estimates import Estimates
from dcet.live.answering.recall import remembered
from dcet.live.answering.reporter import Reporter, Spoken
from dcet.live.answering.texts import Words
from dcet.live.counters import Counters, Fate
from dcet.live.events import Status
from dcet.live.people.people import Who
from dcet.live.timeline import SECOND_US
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import DcetError
from dcet.runtime.estimate import Estimate
from dcet.runtime.senses.encoded import Encoded

REMEMBERED = 16  # turns whose words may still come
PATIENCE_US = 10 * SECOND_US  # with which the memory waits for words
REST_US = 2 * SECOND_US  # after the first late words, in which the rest of them may come
FATES: dict[Status, Fate] = {"late": "late", "missing": "dropped"}
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
        estimates: Estimates,
        counters: Counters,
        reporter: Reporter,
        alarm: Alarm | None,
    ) -> None:
        self._conversation = conversation
        self._estimates = estimates
        self.counters = counters
        self._reporter = reporter
        self._alarm = alarm
        self._answered: deque[_Answered] = deque(maxlen=REMEMBERED)
        self._waiting: _Answered | None = None  # is not remembered yet

    def interim(self, spoken: Spoken) -> Estimate | None:
        """Say how it looks so far, and return it. The memory never hears of it."""
        try:
            encoded = self._estimates.encode(spoken)
            estimate = self._estimates.preview(spoken, encoded)
        except Exception:  # noqa: BLE001  an engine of the host's raises what it likes
            return None  # there is nothing to tell yet; what fails is told in the final
        self._reporter.say("interim", spoken, estimate)
        return estimate

    @contextmanager
    def promised(self, spoken: Spoken, interim: Estimate | None) -> Iterator[None]:
        """Answer at once where the block has not answered the turn when its deadline comes.

        interim: the last one of the turn
        """
        due_s = self._reporter.due_s(spoken)
        if due_s is None or self._alarm is None:
            yield
            return
        spoken.at_once, spoken.at_once_lacks = interim, "what came after the last interim"
        if interim is None:
            spoken.at_once = remembered(self._conversation, spoken.who.speaker)
            spoken.at_once_lacks = "the turn itself: this is what was remembered"
        why = "everything else: it is not done in time"
        self._alarm.set(due_s, lambda: self.at_once(spoken, [why]))
        try:
            yield
        finally:
            self._alarm.clear()

    def at_once(self, spoken: Spoken, left_out: Sequence[str]) -> None:
        """Answer a turn with what is known without running anything, if anything is."""
        self._reporter.say_at_once(spoken, left_out)

    def final(self, spoken: Spoken, *, awaits_words: bool) -> None:
        """Answer a turn that has ended, and remember it, or wait for its words."""
        self.remember()
        encoded, estimate = None, None
        waits = awaits_words and not any(words.is_final for words in spoken.words)
        try:
            encoded = self._estimates.encode(spoken)
            answer = self._estimates.preview if waits else self._estimates.turn
            estimate = answer(spoken, encoded)
        except Exception as error:  # noqa: BLE001  likewise
            spoken.left_out.append(reason(error))
        answered = _Answered(spoken, encoded, is_remembered=not waits)
        self._answered.append(answered)
        if waits:
            self._waiting = answered
        fate: Fate = "dropped" if estimate is None else "used"
        self.counters.settle("texts", fate, len(spoken.words))
        status = self._reporter.say("final", spoken, estimate)
        answered.is_revised = spoken.is_answered
        self.counters.settle("turns", FATES.get(status, "used"))

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
            self.counters.settle("texts", "late", why=why)
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
            self._estimates.turn(waiting.spoken, waiting.encoded)
        except Exception as error:  # noqa: BLE001  likewise; told in its final, too
            self.counters.note(f"turns not remembered: {type(error).__name__}")

    def forget(self, speaker: str | None = None) -> None:
        """Drop what is kept of this speaker's turns, or of all."""
        for answered in list(self._answered):
            if speaker is None or answered.spoken.who.speaker == speaker:
                self._answered.remove(answered)
                self.counters.settle("texts", "dropped", len(answered.late), why="forgotten")
                if self._waiting is answered:
                    self._waiting = None

    def _revise(self, answered: _Answered) -> None:
        """Answer again, with the words that came late."""
        now_s = time.perf_counter()
        before, late = answered.spoken, answered.late
        words = [each for each in before.words if each.is_final] + late
        words.sort(key=lambda each: each.start_us)
        ahead_ms = {} if answered.encoded is None else answered.encoded.latency_ms
        spoken = replace(
            before,
            words=words,
            arrived_s=now_s,
            started_s=now_s,
            left_out=[],
            ahead_ms=ahead_ms,
            hangover_ms=0.0,
        )
        answered.late, answered.is_revised = [], True
        estimate = None
        try:
            named = next((words.speaker for words in late if words.speaker is not None), None)
            if named is not None and named != before.who.speaker:
                spoken.who = Who(named, 1.0, before.who.face)
            encoded = self._estimates.again(spoken, answered.encoded)
            if answered.is_remembered:
                estimate = self._estimates.preview(spoken, encoded)
            else:
                self._waiting, answered.is_remembered = None, True
                estimate = self._estimates.turn(spoken, encoded)
        except Exception as error:  # noqa: BLE001  likewise
            spoken.left_out.append(reason(error))
        self.counters.settle("texts", "used", len(late))
        self._reporter.say("revised", spoken, estimate)
        before.revision = spoken.revision


def reason(error: Exception) -> str:
    """Say what went wrong; of what is no error of DCET's, its type, too."""
    return str(error) if isinstance(error, DcetError) else f"{type(error).__name__}: {error}"
