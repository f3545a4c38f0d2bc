"""Everything that a live session does, in the order in which things are pushed, without a thread.

No clock but that of the media decides what is done: the same pushes give the same events, but for
their latencies.
"""

import time
from collections.abc import Callable

from dcet.live.answers import Answers
from dcet.live.audio_track import AudioBlock
from dcet.live.counters import Counters
from dcet.live.ear import Ear, Heard
from dcet.live.open_turn import OpenTurn
from dcet.live.people import People, Who
from dcet.live.reporter import Spoken
from dcet.live.texts import Texts, Words
from dcet.live.timeline import SECOND_US, DriftClock
from dcet.live.turn_cutter import LONGEST_MS, Span, Step
from dcet.runtime.arrays import Floats
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import DcetError

UNHEARD_US = 2 * SECOND_US  # after which words are taken for a turn of their own
SILENT_US = SECOND_US  # without any sound, after which a microphone is taken for silent


class Pipeline:
    """The state of a live session. One thread at a time may use it."""

    def __init__(
        self,
        conversation: Conversation,
        people: People,
        answers: Answers,
        counters: Counters,
        *,
        interim_ms: float,
        hangover_ms: float,
        transcribe: Callable[[int, Floats], None] | None = None,
    ) -> None:
        self._conversation = conversation
        self._people = people
        self._answers = answers
        self._counters = counters
        self._interim_us = interim_ms * 1000
        self._hangover_ms = hangover_ms
        self._transcribe = transcribe
        self._ears: dict[str, Ear] = {}
        self._open: dict[str, OpenTurn] = {}  # by track
        self._texts = Texts(counters)
        self._text_clock = DriftClock()
        self._turns = 0
        self._arrived_s = 0.0

    @property
    def now_us(self) -> int | None:
        """The media time to which it has listened; None before any sound."""
        return max((e.now_us for e in self._ears.values() if e.now_us is not None), default=None)

    def audio(self, block: AudioBlock, arrived_s: float | None = None) -> None:
        """Listen to a block of sound."""
        self._arrived_s = time.perf_counter() if arrived_s is None else arrived_s
        ear = self._ears.get(block.track) or self._new_ear(block.track)
        for heard in ear.hear(block):
            self._heard(ear, heard)
        self.tick(self.now_us)

    def text(self, words: Words, arrived_s: float | None = None) -> None:
        """Give words to the turn in which they were said, or let them wait for it."""
        self._arrived_s = time.perf_counter() if arrived_s is None else arrived_s
        is_open = any(words.overlap_us(*turn.times_us()) for turn in self._open.values())
        answered = None if is_open else self._answers.find(words)
        if answered is None:
            self._texts.add(words)
        else:
            self._texts.expected = True
            self._answers.late(answered, words, now_us=self.now_us or words.end_us)
        self.tick(self.now_us)

    def transcribed(self, turn_id: int, text: str | None) -> None:
        """Take the words of a turn from the recogniser."""
        self._counters.receive("texts")
        if text is None:
            self._counters.settle("texts", "dropped", why="the recogniser failed")
            return
        words = Words(text, 0, 0, None, is_final=True)
        self._answers.late(turn_id, words, now_us=self.now_us or 0, is_all=True)

    def tick(self, now_us: int | None) -> None:
        """Do what is due at this media time."""
        if now_us is not None:
            self._answers.tick(now_us)
            for track, turn in list(self._open.items()):
                heard_us = turn.ear.now_us
                if heard_us is not None and now_us - heard_us > SILENT_US:
                    self._counters.note(f"microphone {track!r} fell silent in a turn")
                    self._heard(turn.ear, turn.ear.end())
        before_us = None if now_us is None else now_us - UNHEARD_US
        for words in self._texts.unheard(before_us):
            self._answer_words(words)

    def begin_turn(self, track: str, speaker: str | None, at_us: int | None) -> int:
        """Begin a turn where the host says so; it ends with `end_turn`. Returns its number."""
        ear = self._ears.get(track) or self._new_ear(track)
        self._heard(ear, ear.end())
        first = ear.cutter.now if at_us is None else ear.hop_at(at_us)
        ear.cutter.hold(first)
        begun_us = ear.time_us(first) if at_us is None else at_us
        self._begin(ear, named=speaker, begun_us=begun_us)
        return self._turns

    def end_turn(self, turn_id: int) -> bool:
        """End a turn that the host began; False where it has ended."""
        for turn in list(self._open.values()):
            if turn.turn_id == turn_id:
                self._heard(turn.ear, turn.ear.end())
                return True
        return False

    def flush(self) -> None:
        """End all turns, and answer whatever waits."""
        for ear in self._ears.values():
            for heard in ear.flush():
                self._heard(ear, heard)
        for words in self._texts.unheard(None):
            self._answer_words(words)
        self._answers.flush()

    def _new_ear(self, track: str) -> Ear:
        self._ears[track] = Ear(
            track,
            self._conversation.bundle.manifest,
            self._conversation.engine,
            self._counters,
            hangover_ms=self._hangover_ms,
            longest_ms=LONGEST_MS,
        )
        return self._ears[track]

    def _heard(self, ear: Ear, heard: Heard) -> None:
        """Do what a hop asks for."""
        turn = self._open.get(ear.track)
        if heard.step is Step.BEGAN:
            self._begin(ear)
        elif turn is None:
            return
        elif heard.step in (Step.ENDED, Step.SPLIT):
            assert heard.span is not None
            del self._open[ear.track]
            self._finish(turn, heard.span)
            if heard.step is Step.SPLIT and ear.cutter.began:
                self._begin(ear)
        else:
            self._go_on(turn, is_pause=heard.step is Step.PAUSED)

    def _begin(self, ear: Ear, *, named: str | None = None, begun_us: int | None = None) -> None:
        self._turns += 1
        self._counters.receive("turns")
        turn = OpenTurn(self._turns, ear, self._conversation, named=named, begun_us=begun_us)
        self._open[ear.track] = turn

    def _go_on(self, turn: OpenTurn, *, is_pause: bool) -> None:
        """Encode what there is, so that little remains to be done at the end."""
        start_us, end_us = turn.times_us()
        elapsed_us = turn.ear.time_us(turn.ear.cutter.now) - turn.ear.time_us(turn.first)
        is_due = elapsed_us // self._interim_us > turn.interims
        if is_due:
            turn.interims = int(elapsed_us // self._interim_us)
            spoken = self._spoken(turn, start_us, end_us, turn.end_sample())
            spoken.words = self._texts.of(start_us, end_us)
            self._answers.interim(spoken)
            turn.revision = spoken.revision
        elif is_pause or turn.is_full:
            self._spoken(turn, start_us, end_us, turn.end_sample())

    def _finish(self, turn: OpenTurn, span: Span) -> None:
        start_us, end_us = turn.times_us(span)
        end = turn.end_sample(span)
        spoken = self._spoken(turn, start_us, end_us, end)
        spoken.words = self._texts.take(start_us, end_us)
        if turn.begun_us is None:
            ended_us = turn.ear.time_us(span.end)
            spoken.hangover_ms = (turn.ear.time_us(turn.ear.cutter.now) - ended_us) / 1000
        asks = self._transcribe is not None and not any(w.is_final for w in spoken.words)
        self._answers.final(spoken, awaits_words=asks or self._texts.expected)
        if asks and self._transcribe is not None:
            self._transcribe(turn.turn_id, turn.sound(end))

    def _spoken(self, turn: OpenTurn, start_us: int, end_us: int, end: int) -> Spoken:
        """Encode the sound of a turn up to the sample `end`."""
        who = self._who(turn, start_us, end_us)
        spoken = Spoken(
            turn_id=turn.turn_id,
            who=who,
            start_us=start_us,
            end_us=end_us,
            encoded=None,
            words=(),
            revision=turn.revision,
            arrived_s=self._arrived_s,
        )
        try:
            spoken.encoded = turn.encode(who.speaker, end)
            spoken.ahead_ms = turn.ahead_ms
        except DcetError as error:
            spoken.left_out.append(f"audio: {error}")
        return spoken

    def _who(self, turn: OpenTurn, start_us: int, end_us: int) -> Who:
        """Say who speaks: whom the host named, with the turn or with its words, or else whom it
        looks and sounds like."""
        if turn.named is not None:
            return Who(turn.named, 1.0)
        words = self._texts.of(start_us, end_us)
        named = next((each.speaker for each in words if each.speaker is not None), None)
        who = self._people.who(turn.ear.track, start_us, end_us)
        return who if named is None else Who(named, 1.0, who.face)

    def _answer_words(self, words: Words) -> None:
        """Answer words that were said while no voice was heard as a turn of their own."""
        self._turns += 1
        self._counters.receive("turns")
        who = self._people.who("", words.start_us, words.end_us)
        if words.speaker is not None:
            who = Who(words.speaker, 1.0, who.face)
        spoken = Spoken(
            turn_id=self._turns,
            who=who,
            start_us=words.start_us,
            end_us=words.end_us,
            encoded=None,
            words=[words],
            arrived_s=self._arrived_s,
        )
        self._answers.final(spoken, awaits_words=False)
