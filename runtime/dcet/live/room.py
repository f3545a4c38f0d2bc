"""The parts of a live session, put together, and the threads that they run in."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from dcet.live.answering.alarm import Alarm
from dcet.live.answering.answers import Answers
from dcet.live.answering.ending import Ending
from dcet.live.answering.estimates import Estimates
from dcet.live.answering.host_turn import HostTurns
from dcet.live.answering.planner import Costs, Planner
from dcet.live.answering.reporter import Reporter
from dcet.live.answering.texts import Texts
from dcet.live.answering.turns import Turns
from dcet.live.answering.warm_up import load_packages, warm_up
from dcet.live.callbacks import Callbacks
from dcet.live.counters import Counters
from dcet.live.events import Event, SeenFaces
from dcet.live.outbox import Outbox
from dcet.live.people.people import People
from dcet.live.people.voices import Voices
from dcet.live.pipeline import Pipeline
from dcet.live.seeing.eyes import Eyes, FaceEncoder
from dcet.live.timeline import SECOND_US
from dcet.live.worker import Worker
from dcet.runtime.arrays import Floats
from dcet.runtime.conversation import Conversation
from dcet.runtime.senses.face_finder import FaceFinder

WAITING_TEXTS = 256
WAITING_VOICES = 8
TICK_S = 0.1  # after which the session looks what is due though nothing came

T = TypeVar("T")


class Recogniser(Protocol):
    """Recognises what was said in a turn, at its own pace."""

    def submit(self, turn_id: int, pcm: Floats, done: Callable[[int, str | None], None]) -> None:
        """Begin, without waiting; call `done` with the words, or None where there are none."""

    def transcribe(self, pcm: Floats) -> str | None:
        """Return the words of 16 kHz sound (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a session works. LiveSession says what each is."""

    deadline_ms: float | None
    interim_ms: float
    hangover_ms: float
    attribution: bool
    speakers: Mapping[str, str]
    face_finder: FaceFinder | None
    threaded: bool
    asr: Recogniser | None
    voices: Voices | None
    on_event: Callable[[Event], object] | None
    on_faces: Callable[[SeenFaces], object] | None


class Room:
    """What a session is made of.

    conversation: what is remembered
    seeing: another one of the same bundle and engine, which encodes faces and remembers nothing
    """

    def __init__(self, conversation: Conversation, seeing: Conversation, options: Options) -> None:
        load_packages()
        self.conversation = conversation
        self.counters = Counters()
        self.outbox = Outbox(self.counters)
        self.callbacks = Callbacks(self.counters, threaded=options.threaded)
        self._options = options
        self._lock = threading.RLock()  # where there is no thread
        self._heard_s = time.perf_counter()  # when sound came last
        deadline_ms = options.deadline_ms if options.threaded else None
        self._alarm = None if deadline_ms is None else Alarm()
        self._people = People(
            options.speakers,
            attribution=options.attribution,
            taken=conversation.speakers,
            voices=options.voices,
        )
        self.ears: Worker | None = None
        self._looker: Worker | None = None
        self._listener: Worker | None = None
        if options.threaded:
            self.ears = Worker("dcet-ears", failed=self._failed, idle=self._tick, tick_s=TICK_S)
            self._looker = Worker("dcet-eyes", failed=self._failed)
            if options.voices is not None:
                self._listener = Worker("dcet-voices", failed=self._failed)
        self.eyes = Eyes(
            self._people,
            self.counters,
            FaceEncoder(seeing),
            face_finder=options.face_finder,
            seen=self._see,
            worker=self._looker,
        )
        self.pipeline = self._made_pipeline(self._people, deadline_ms)
        for worker in filter(None, (self.ears, self._looker, self._listener)):
            worker.start()

    def do(self, job: Callable[[], T]) -> T:
        """Do something with the pipeline, when its turn has come, and wait for it."""
        if self.ears is not None:
            return self.ears.ask(job)
        with self._lock:
            done = job()
        self.callbacks.run_waiting()
        return done

    def look(self, job: Callable[[], T]) -> T:
        """Do something with the eyes, which lock what is theirs, but where there is no thread."""
        if self.ears is not None:
            return job()
        return self.do(job)

    def hears_now(self) -> float:
        """Return the time, on the clock of time.perf_counter, at which more sound comes."""
        self._heard_s = time.perf_counter()
        return self._heard_s

    def flush(self) -> None:
        """Look at the frames that wait, end all turns, and answer whatever waits."""
        if self._looker is not None:
            self._looker.ask(lambda: None)
        self.do(self.pipeline.flush)

    def close(self) -> None:
        """Answer what waits, and end all threads."""
        for worker in (self._looker, self._listener):
            if worker is not None:
                worker.close()
        self.do(self.pipeline.flush)
        if self.ears is not None:
            self.ears.close()
        if self._alarm is not None:
            self._alarm.close()
        self.outbox.close()
        self.callbacks.close()

    def _made_pipeline(self, people: People, deadline_ms: float | None) -> Pipeline:
        costs, texts = Costs(), Texts(self.counters)
        planner = Planner(costs)
        answers = Answers(
            self.conversation,
            Estimates(self.conversation, people, costs),
            self.counters,
            Reporter(self._emit, deadline_ms=deadline_ms),
            self._alarm,
        )
        turns = Turns(
            self.conversation,
            people,
            answers,
            texts,
            Ending(planner, answers, self.counters, deadline_ms=deadline_ms),
            costs,
            self.counters,
            interim_ms=self._options.interim_ms,
            hangover_ms=self._options.hangover_ms,
            transcribe=None if self._options.asr is None else self._transcribe,
            listen=None if self._options.voices is None else self._listen,
        )
        if deadline_ms is not None:
            warm_up(self.conversation, costs)
        host_turns = HostTurns(
            self.conversation, answers, turns, planner, self.eyes.finding, deadline_ms=deadline_ms
        )
        return Pipeline(turns, host_turns, texts, answers, people, self.counters)

    def _emit(self, event: Event) -> None:
        if self._options.on_event is None:
            self.outbox.put(event)
        else:
            self.callbacks.put(self._options.on_event, event)

    def _see(self, faces: SeenFaces) -> None:
        if self._options.on_faces is not None:
            self.callbacks.put(self._options.on_faces, faces)

    def _tick(self) -> None:
        """Let time pass while nothing comes."""
        now_us = self.pipeline.turns.now_us
        silent_s = time.perf_counter() - self._heard_s
        self.pipeline.tick(None if now_us is None else now_us + round(silent_s * SECOND_US))

    def _listen(self, track: str, start_us: int, pcm: Floats) -> None:
        def listen() -> None:
            self._people.listen(track, start_us, pcm)

        if self._listener is None:
            listen()
        elif not self._listener.offer(listen, "voices", 1, WAITING_VOICES):
            self.counters.note("a voice not compared with others: there was no time")

    def _transcribe(self, turn_id: int, pcm: Floats) -> None:
        assert self._options.asr is not None
        if self.ears is None:
            self.pipeline.transcribed(turn_id, self._options.asr.transcribe(pcm))
        else:
            self._options.asr.submit(turn_id, pcm, self._transcribed)

    def _transcribed(self, turn_id: int, text: str | None) -> None:
        assert self.ears is not None
        self.ears.offer(lambda: self.pipeline.transcribed(turn_id, text), "words", 1, WAITING_TEXTS)

    def _failed(self, error: Exception) -> None:
        self.counters.note(f"failed: {type(error).__name__}: {str(error)[:200]}")
