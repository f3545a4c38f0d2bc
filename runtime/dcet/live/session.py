"""A live session: streams in from any thread, events out."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from numpy.typing import NDArray

from dcet.live.alarm import Alarm
from dcet.live.answers import Answers
from dcet.live.callbacks import Callbacks
from dcet.live.counters import Counters
from dcet.live.events import Event, SeenFaces
from dcet.live.eyes import Eyes, FaceEncoder
from dcet.live.inputs import audio_block, check_ms, seconds_of, spoken_words
from dcet.live.outbox import EventSource, Outbox
from dcet.live.people import People
from dcet.live.pipeline import Pipeline
from dcet.live.planner import Costs, Planner
from dcet.live.reporter import Reporter
from dcet.live.texts import Texts
from dcet.live.timeline import SECOND_US, check_pts
from dcet.live.turn_cutter import HANGOVER_MS
from dcet.live.turns import Turns
from dcet.live.warm_up import warm_up
from dcet.live.worker import Worker
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import InputError
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.turn import Colors, Image, check_faces, check_speaker
from dcet.runtime.uncopied import Uncopied

WAITING_S = 30.0  # of sound of a track that may wait to be heard
WAITING_TEXTS = 256
TICK_S = 0.1  # after which the session looks what is due though nothing came

T = TypeVar("T")


class Recogniser(Protocol):
    """Recognises what was said in a turn, at its own pace."""

    def submit(self, turn_id: int, pcm: Floats, done: Callable[[int, str | None], None]) -> None:
        """Begin, without waiting; call `done` with the words, or None where there are none."""

    def transcribe(self, pcm: Floats) -> str | None:
        """Return the words of 16 kHz sound (n,)."""


class LiveSession(EventSource, Uncopied):
    """Follows streams of sound, pictures and words, and says what it makes of every turn.

    deadline_ms: from the end of a turn, within which its final is given; None, whenever it is ready
    interim_ms: of speech, between interims
    hangover_ms: without a voice, after which a turn has ended
    attribution: find out who speaks where the host does not say: whose mouth moves with the voice
    speakers: who is heard or seen on a track, where it is always the same person
    face_finder: finds the faces; by default one with the best detector that is here
    threaded: False to do everything in the thread that pushes, before the push returns, with all
        the time that it takes: the same pushes then give the same events on every machine
    asr: recognises the words of turns for which none are pushed
    on_event: called with each event, by a thread of its own; else `poll`, `events` and `async for`
        give them
    on_faces: called likewise after each frame in which faces were searched

    Pushes never wait; what they are given may be changed as soon as they return. Times are whole
    microseconds of media time: of any clock, but of one for all streams. Raises as Conversation
    does.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str | Engine = "auto",
        deadline_ms: float | None = 50,
        interim_ms: float = 500,
        hangover_ms: float = HANGOVER_MS,
        attribution: bool = True,
        speakers: Mapping[str, str] | None = None,
        max_speakers: int = 64,
        face_finder: FaceFinder | None = None,
        threaded: bool = True,
        asr: Recogniser | None = None,
        on_event: Callable[[Event], object] | None = None,
        on_faces: Callable[[SeenFaces], object] | None = None,
    ) -> None:
        check_ms(deadline_ms=deadline_ms or 1, interim_ms=interim_ms, hangover_ms=hangover_ms)
        self._conversation = Conversation(bundle, engine, max_speakers=max_speakers)
        self._counters = Counters()
        self._outbox = Outbox(self._counters)
        self._callbacks = Callbacks(self._counters, threaded=threaded)
        self._on_event = on_event
        self._on_faces = on_faces
        self._asr = asr
        self._lock = threading.RLock()  # where there is no thread
        self._pushed_s = time.perf_counter()
        self._is_closed = False
        deadline_ms = deadline_ms if threaded else None
        self._alarm = None if deadline_ms is None else Alarm()
        self._people = People(speakers or {}, attribution=attribution)
        self._pipeline = self._made_pipeline(deadline_ms, interim_ms, hangover_ms)
        self._ears: Worker | None = None
        self._looker: Worker | None = None
        if threaded:
            self._ears = Worker("dcet-ears", failed=self._failed, idle=self._tick, tick_s=TICK_S)
            self._looker = Worker("dcet-eyes", failed=self._failed)
        self._eyes = Eyes(
            self._people,
            self._counters,
            FaceEncoder(Conversation(bundle, self._conversation.engine, max_speakers=1)),
            face_finder=face_finder,
            seen=self._see,
            worker=self._looker,
        )

    @property
    def conversation(self) -> Conversation:
        """What is remembered, to be read: another thread may be writing to it."""
        return self._conversation

    @property
    def counters(self) -> dict[str, Any]:
        """What came in and what became of it, see docs/events.md."""
        return self._counters.as_dict()

    def push_audio(
        self,
        pcm: NDArray[Any],
        pts_us: int,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        track: str = "mic",
    ) -> None:
        """Give a block of sound, as soon as its last sample was recorded.

        pcm: int16, float32 or float64 in [-1, 1], shape (n,) or (n, channels)
        pts_us: media time of the first sample
        track: names the microphone, or whoever sends it

        Raises InputError.
        """
        block = audio_block(pcm, pts_us, sample_rate_hz, track)
        self._expect_open()
        self._pushed_s = arrived_s = time.perf_counter()
        self._counters.receive("samples", len(pcm))
        if self._ears is None:
            self._do(lambda: self._pipeline.audio(block, arrived_s))
            return
        left = len(pcm)
        for piece in seconds_of(block):
            if not self._ears.offer(
                lambda piece=piece: self._pipeline.audio(piece, arrived_s),  # type: ignore[misc]
                f"sound of {block.track}",
                len(piece.pcm) / piece.sample_rate_hz,
                WAITING_S,
            ):
                self._counters.settle("samples", "dropped", left, why="too much waits to be heard")
                return
            left -= len(piece.pcm)

    def push_frame(
        self, image: Image, pts_us: int, *, colors: Colors = "rgb", track: str = "camera"
    ) -> None:
        """Give a frame, as soon as it was taken. Those that are not looked at are not copied.

        image: uint8 of shape (height, width) or (height, width, 1, 3 or 4), or the bytes of a
            picture file
        track: names the camera

        Raises InputError.
        """
        check_faces([], colors, True)
        camera, pts_us = check_speaker(track), check_pts("pts_us", pts_us)
        self._expect_open()
        with nullcontext() if self._ears else self._lock:
            self._eyes.push(image, pts_us, colors, camera, self._pipeline.turns.now_us)
        self._callbacks.run_waiting()

    def push_text(
        self,
        text: str,
        start_us: int,
        end_us: int,
        *,
        speaker: str | None = None,
        is_final: bool = True,
    ) -> None:
        """Give words and the media time in which they were said.

        is_final: False where later words for that time take their place

        Raises InputError.
        """
        words = spoken_words(text, start_us, end_us, speaker, is_final)
        self._expect_open()
        arrived_s = time.perf_counter()
        self._counters.receive("texts")
        if self._ears is None:
            self._do(lambda: self._pipeline.text(words, arrived_s))
        elif not self._ears.offer(
            lambda: self._pipeline.text(words, arrived_s), "texts", 1, WAITING_TEXTS
        ):
            self._counters.settle("texts", "dropped", why="too many wait")

    def begin_turn(
        self, speaker: str | None = None, *, at_us: int | None = None, track: str = "mic"
    ) -> int:
        """Begin a turn of what this track hears, now or at a media time; return its number.

        It ends with `end_turn`, whatever is heard. Raises InputError.
        """
        name = None if speaker is None else check_speaker(speaker)
        at_us = None if at_us is None else check_pts("at_us", at_us)
        self._expect_open()
        return self._do(lambda: self._pipeline.turns.begin(check_speaker(track), name, at_us))

    def end_turn(self, turn_id: int) -> None:
        """End a turn that `begin_turn` began. Raises InputError where there is none."""
        if not self._do(lambda: self._pipeline.turns.end(turn_id)):
            raise InputError(
                f"turn_id: expected a turn that goes on, got {turn_id!r}; "
                "give what begin_turn returned, once"
            )

    def flush(self) -> None:
        """End all turns now, and return when everything that was pushed is answered."""
        if self._looker is not None:
            self._looker.ask(lambda: None)  # what waits there is looked at then
        self._do(self._pipeline.flush)

    def forget(self, speaker: str) -> None:
        """Leave no trace of this speaker, nor of their turn that goes on. Raises UnknownSpeaker."""
        name = check_speaker(speaker)

        def forget() -> None:
            self._pipeline.forget(name)
            self._conversation.forget(name)

        self._do(forget)

    def reset(self) -> None:
        """Forget everybody, and all that was pushed."""

        def reset() -> None:
            self._pipeline.forget()
            self._conversation.reset()

        self._do(reset)

    def close(self) -> None:
        """Answer what is left, and end. May be called again, and by a callback."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._looker is not None:
            self._looker.close()
        self._do(self._pipeline.flush)
        if self._ears is not None:
            self._ears.close()
        if self._alarm is not None:
            self._alarm.close()
        self._outbox.close()
        self._callbacks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _made_pipeline(
        self, deadline_ms: float | None, interim_ms: float, hangover_ms: float
    ) -> Pipeline:
        costs, texts = Costs(), Texts(self._counters)
        answers = Answers(
            self._conversation,
            self._people,
            self._counters,
            Reporter(self._emit, deadline_ms=deadline_ms),
            costs,
            self._alarm,
        )
        turns = Turns(
            self._conversation,
            self._people,
            answers,
            texts,
            Planner(costs),
            self._counters,
            interim_ms=interim_ms,
            hangover_ms=hangover_ms,
            deadline_ms=deadline_ms,
            transcribe=None if self._asr is None else self._transcribe,
        )
        if deadline_ms is not None:
            warm_up(self._conversation, costs)
        return Pipeline(turns, texts, answers, self._people, self._counters)

    def _do(self, job: Callable[[], T]) -> T:
        """Do something with the pipeline, when its turn has come, and wait for it."""
        if self._ears is not None:
            return self._ears.ask(job)
        with self._lock:
            done = job()
        self._callbacks.run_waiting()
        return done

    def _emit(self, event: Event) -> None:
        if self._on_event is None:
            self._outbox.put(event)
        else:
            self._callbacks.put(self._on_event, event)

    def _see(self, faces: SeenFaces) -> None:
        if self._on_faces is not None:
            self._callbacks.put(self._on_faces, faces)

    def _tick(self) -> None:
        """Let time pass while nothing comes."""
        now_us = self._pipeline.turns.now_us
        silent_s = time.perf_counter() - self._pushed_s
        self._pipeline.tick(None if now_us is None else now_us + round(silent_s * SECOND_US))

    def _transcribe(self, turn_id: int, pcm: Floats) -> None:
        assert self._asr is not None
        if self._ears is None:
            self._pipeline.transcribed(turn_id, self._asr.transcribe(pcm))
        else:
            self._asr.submit(turn_id, pcm, self._transcribed)

    def _transcribed(self, turn_id: int, text: str | None) -> None:
        assert self._ears is not None
        self._ears.offer(
            lambda: self._pipeline.transcribed(turn_id, text), "words", 1, WAITING_TEXTS
        )

    def _failed(self, error: Exception) -> None:
        self._counters.note(f"failed: {type(error).__name__}: {str(error)[:200]}")

    def _expect_open(self) -> None:
        if self._is_closed:
            raise InputError("expected an open session, got one that is closed; make another one")
