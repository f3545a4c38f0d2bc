"""Cuts what microphones hear into turns, and has each encoded while it is spoken."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from dcet.live.answering.answers import Answers
from dcet.live.answering.ending import Ending, encode_sound
from dcet.live.answering.open_turn import OpenTurn
from dcet.live.answering.planner import Costs
from dcet.live.answering.reporter import Spoken
from dcet.live.answering.texts import Texts, Words
from dcet.live.counters import Counters
from dcet.live.hearing.audio_track import AudioBlock
from dcet.live.hearing.ear import Ear, Heard
from dcet.live.hearing.turn_cutter import LONGEST_MS, Span, Step
from dcet.live.people.people import People, Who
from dcet.live.timeline import SECOND_US
from dcet.runtime.arrays import Floats
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import InputError

SILENT_US = SECOND_US  # without any sound, after which a microphone is taken for silent
APART_US = 10 * SECOND_US  # between two clocks, of which one must be wrong
MOST_MICROPHONES = 16
VOICE_MS, LEAST_VOICE_MS = 1500, 700  # of a voice that are compared with others; before a pause


class Turns:
    """The turns of all microphones, each of which may have one at a time."""

    def __init__(
        self,
        conversation: Conversation,
        people: People,
        answers: Answers,
        texts: Texts,
        ending: Ending,
        costs: Costs,
        counters: Counters,
        *,
        interim_ms: float,
        hangover_ms: float,
        transcribe: Callable[[int, Floats], None] | None,
        listen: Callable[[str, int, Floats], None] | None,
    ) -> None:
        self._conversation = conversation
        self._people = people
        self._answers = answers
        self._texts = texts
        self._ending = ending
        self._costs = costs
        self._counters = counters
        self._interim_us = interim_ms * 1000
        self._hangover_ms = hangover_ms
        self._transcribe = transcribe
        self._listen = listen
        self._ears: dict[str, Ear] = {}
        self._open: dict[str, OpenTurn] = {}  # by track
        self._last: Ear | None = None  # that gave sound
        self._begun = 0
        self.arrived_s = 0.0  # when what is worked on came in

    @property
    def now_us(self) -> int | None:
        """The media time to which the microphone that gave sound last has listened; None before any
        sound. It is not the latest of all: one whose clock is wrong must not end others' turns."""
        return None if self._last is None else self._last.now_us

    @property
    def microphones(self) -> tuple[str, ...]:
        """The tracks of sound that were heard."""
        return tuple(self._ears)

    @property
    def open_since_us(self) -> int | None:
        """The media time since which the oldest turn goes on; None without any."""
        return min((turn.times_us()[0] for turn in self._open.values()), default=None)

    def number(self) -> int:
        """Return the number of a turn that begins now, and count it."""
        self._begun += 1
        self._counters.receive("turns")
        return self._begun

    def hear(self, block: AudioBlock) -> None:
        """Listen to a block of sound. Raises InputError or EngineError."""
        try:
            ear = self.ear(block.track)
        except InputError:
            self._counters.settle("samples", "dropped", len(block.pcm), why="too many microphones")
            raise
        before_us, self._last = self.now_us, ear
        if before_us is not None and abs(block.pts_us - before_us) > APART_US:
            self._counters.note(f"microphone {block.track!r}: its time is far from that before")
        self._listen_to(ear, ear.hear(block))

    def go_on_at(self, start_us: int, end_us: int) -> bool:
        """Return whether a turn that goes on was spoken at that time, too."""
        return any(
            start_us <= end and begin <= end_us
            for begin, end in (turn.times_us() for turn in self._open.values())
        )

    def tick(self, now_us: int) -> None:
        """End turns of microphones that gave no sound for a second of media time."""
        for track, turn in list(self._open.items()):
            heard_us = turn.ear.now_us
            if heard_us is not None and SILENT_US < now_us - heard_us <= APART_US:
                self._counters.note(f"microphone {track!r} fell silent in a turn")
                self._heard(turn.ear, turn.ear.end())

    def begin(self, track: str, speaker: str | None, at_us: int | None) -> int:
        """Begin a turn where the host says so; it ends with `end`. Returns its number."""
        ear = self.ear(track)
        self._listen_to(ear, ear.catch_up())
        self._heard(ear, ear.end())
        first = ear.cutter.now if at_us is None else ear.hop_at(at_us)
        ear.cutter.hold(first)
        begun_us = ear.time_us(first)
        if at_us is not None and abs(at_us - begun_us) <= SECOND_US:
            begun_us = at_us  # between two hops, or a little before or after all that was heard
        elif at_us is not None:
            self._counters.note("a turn begun at a time of which no sound is kept: at the nearest")
        self._begin(ear, named=speaker, begun_us=begun_us)
        return self._begun

    def end(self, turn_id: int) -> bool:
        """End a turn that the host began; False where it has ended."""
        for turn in list(self._open.values()):
            if turn.turn_id == turn_id:
                self._heard(turn.ear, turn.ear.end())
                return True
        return False

    def flush(self) -> None:
        """End all turns."""
        for ear in self._ears.values():
            self._listen_to(ear, ear.flush())

    def drop(self, speaker: str | None = None) -> None:
        """Drop the turns that go on, of a speaker or all, and what microphones heard last."""
        for track, turn in list(self._open.items()):
            if speaker is None or self._who(turn, *turn.times_us()).speaker == speaker:
                turn.ear.end()
                del self._open[track]
                self._counters.settle("turns", "dropped", why="forgotten")
        if speaker is None:
            self._ears.clear()
            self._last = None

    def ear(self, track: str) -> Ear:
        """Return the ear of a microphone. Raises InputError where there are too many."""
        if track not in self._ears:
            if len(self._ears) == MOST_MICROPHONES:
                raise InputError(
                    f"track: expected at most {MOST_MICROPHONES} microphones, got another one, "
                    f"{track!r}; push its sound to another session"
                )
            self._ears[track] = Ear(
                track,
                self._conversation.bundle.manifest,
                self._conversation.engine,
                self._counters,
                hangover_ms=self._hangover_ms,
                longest_ms=LONGEST_MS,
            )
        return self._ears[track]

    def _listen_to(self, ear: Ear, hops: Iterable[Heard]) -> None:
        for heard in hops:
            self._people.hear(ear.track, heard.start_us, ear.hop_us, heard.voice)
            self._heard(ear, heard)

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
                self._begin(ear, follows=True)
        else:
            self._go_on(turn, is_pause=heard.step is Step.PAUSED)

    def _begin(
        self,
        ear: Ear,
        *,
        named: str | None = None,
        begun_us: int | None = None,
        follows: bool = False,
    ) -> None:
        self._open[ear.track] = OpenTurn(
            self.number(),
            ear,
            self._conversation,
            self._costs,
            named=named,
            begun_us=begun_us,
            follows=follows,
        )

    def _go_on(self, turn: OpenTurn, *, is_pause: bool) -> None:
        """Encode what there is, so that little remains to be done at the end."""
        start_us, end_us = turn.times_us()
        if self._listen is not None:
            piece = turn.voice(LEAST_VOICE_MS if is_pause else VOICE_MS)
            if piece is not None:
                self._listen(turn.ear.track, *piece)
        elapsed_us = turn.ear.time_us(turn.ear.cutter.now) - turn.ear.time_us(turn.first)
        if elapsed_us // self._interim_us > turn.interims:
            turn.interims = int(elapsed_us // self._interim_us)
            changed_us = self._people.change_us(turn.ear.track, start_us, end_us)
            if changed_us is None:
                self._say_interim(turn, start_us, end_us)
            else:
                self._heard(turn.ear, turn.ear.cut(changed_us))
        elif is_pause or turn.is_full:
            who, end = self._who(turn, start_us, end_us), turn.end_sample()
            if not self._ending.is_safe(turn, who.speaker, end, self.arrived_s):
                self._counters.note("sound not encoded ahead: there was no time")
                return
            with suppress(Exception):  # the final tries again, and tells
                if is_pause:
                    turn.paused = end, who
                    turn.encode(who.speaker, end)
                else:
                    turn.encode_windows(who.speaker)

    def _say_interim(self, turn: OpenTurn, start_us: int, end_us: int) -> None:
        who, end = self._who(turn, start_us, end_us), turn.end_sample()
        if not self._ending.is_safe(turn, who.speaker, end, self.arrived_s):
            self._counters.note("interims left out: there was no time")
            return
        spoken = self._spoken(turn, who, start_us, end_us)
        spoken.words = self._texts.of(start_us, end_us)
        encode_sound(spoken, turn, end)
        turn.estimate = self._answers.interim(spoken) or turn.estimate
        turn.revision = spoken.revision

    def _finish(self, turn: OpenTurn, span: Span) -> None:
        start_us, end_us = turn.times_us(span)
        end = turn.end_sample(span)
        is_paused = turn.paused is not None and turn.paused[0] == end
        who = turn.paused[1] if is_paused and turn.paused else self._who(turn, start_us, end_us)
        spoken = self._spoken(turn, who, start_us, end_us)
        spoken.words = self._texts.take(start_us, end_us)
        if turn.begun_us is None:
            ended_us = turn.ear.time_us(span.end)
            spoken.hangover_ms = (turn.ear.time_us(turn.ear.cutter.now) - ended_us) / 1000
        asks = self._transcribe is not None and not any(w.is_final for w in spoken.words)
        awaits_words = asks or self._texts.expected
        with self._answers.promised(spoken, turn.estimate):
            self._ending.choose(spoken, turn, end)
            self._answers.final(spoken, awaits_words=awaits_words)
        if asks and self._transcribe is not None:
            self._transcribe(turn.turn_id, turn.sound(end))

    def _spoken(self, turn: OpenTurn, who: Who, start_us: int, end_us: int) -> Spoken:
        return Spoken(
            turn_id=turn.turn_id,
            who=who,
            start_us=start_us,
            end_us=end_us,
            encoded=None,
            words=(),
            revision=turn.revision,
            arrived_s=self.arrived_s,
        )

    def _who(self, turn: OpenTurn, start_us: int, end_us: int) -> Who:
        """Say who speaks: whom the host named, with the turn or with its words, or else whom it
        looks and sounds like."""
        if turn.named is not None:
            return Who(turn.named, 1.0)
        words: list[Words] = self._texts.of(start_us, end_us)
        named = next((each.speaker for each in words if each.speaker is not None), None)
        who = self._people.who(turn.ear.track, start_us, end_us)
        return who if named is None else Who(named, 1.0, who.face)
