"""A live session: streams in from any thread, events out."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dcet.live.answers import Answers
from dcet.live.audio_track import AudioBlock
from dcet.live.callbacks import Callbacks
from dcet.live.counters import Counters
from dcet.live.events import Event
from dcet.live.outbox import Outbox
from dcet.live.people import People
from dcet.live.pipeline import Pipeline
from dcet.live.reporter import Reporter
from dcet.live.texts import Words
from dcet.live.timeline import SECOND_US, check_pts
from dcet.live.turn_cutter import HANGOVER_MS
from dcet.live.worker import Worker
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import ConfigError, InputError
from dcet.runtime.turn import check_audio, check_sample_rate, check_speaker, check_text
from dcet.runtime.uncopied import Uncopied

WAITING_S = 30.0  # of sound that may wait to be heard, a track
WAITING_TEXTS = 256
TICK_S = 0.1  # after which the session looks what is due though nothing came
POLL_S = 0.5

T = TypeVar("T")


class Recogniser(Protocol):
    """Recognises what was said in a turn, at its own pace."""

    def submit(self, turn_id: int, pcm: Floats, done: Callable[[int, str | None], None]) -> None:
        """Begin, without waiting; call `done` with the words, or None where there are none."""

    def transcribe(self, pcm: Floats) -> str | None:
        """Return the words of 16 kHz sound (n,)."""

    def close(self) -> None:
        """End it."""


class LiveSession(Uncopied):
    """Follows streams of sound and text, and says what it makes of every turn.

    deadline_ms: from the end of a turn, within which its final is given; None, whenever it is ready
    interim_ms: of speech, between interims
    speakers: who is heard on a track, where it is always the same one
    threaded: False to do everything in the thread that pushes, before the push returns, with all
        the time that it takes: the same pushes then give the same events on every machine
    asr: recognises the words of turns for which none are pushed
    on_event: called with each event, by a thread of its own; else `poll`, `events` and `async for`
        give them

    Pushes never wait; what they are given may be changed as soon as they return. Times are whole
    microseconds of media time: any clock, but one for all streams. Raises as Conversation does.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str | Engine = "auto",
        deadline_ms: float | None = 50,
        interim_ms: float = 500,
        hangover_ms: float = HANGOVER_MS,
        speakers: Mapping[str, str] | None = None,
        max_speakers: int = 64,
        threaded: bool = True,
        asr: Recogniser | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        _check_ms(deadline_ms=deadline_ms or 1, interim_ms=interim_ms, hangover_ms=hangover_ms)
        self.conversation = Conversation(bundle, engine, max_speakers=max_speakers)
        self._counters = Counters()
        self._outbox = Outbox(self._counters)
        self._callbacks = Callbacks(self._counters, threaded=threaded)
        self._on_event = on_event
        self._asr = asr
        self._people = People(speakers or {})
        reporter = Reporter(
            self._emit, self._counters, deadline_ms=deadline_ms if threaded else None
        )
        answers = Answers(self.conversation, self._people, self._counters, reporter)
        self._pipeline = Pipeline(
            self.conversation,
            self._people,
            answers,
            self._counters,
            interim_ms=interim_ms,
            hangover_ms=hangover_ms,
            transcribe=None if asr is None else self._transcribe,
        )
        self._pushed_s = time.perf_counter()
        self._is_closed = False
        self._lock = threading.RLock()  # where there is no thread
        self._ears = (
            Worker("dcet-ears", failed=self._failed, idle=self._tick, tick_s=TICK_S)
            if threaded
            else None
        )

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
        check_audio(pcm, sample_rate_hz)
        rate_hz = check_sample_rate(sample_rate_hz)
        block = AudioBlock(check_speaker(track), pcm, check_pts("pts_us", pts_us), rate_hz)
        self._expect_open()
        self._counters.receive("samples", len(pcm))
        self._pushed_s = arrived_s = time.perf_counter()
        if self._ears is None:
            self._do(lambda: self._pipeline.audio(block, arrived_s))
            return
        size = max(
            1, rate_hz
        )  # a second, so that one push of hours is taken as far as there is room
        for begin in range(0, len(pcm), size):
            piece = np.array(pcm[begin : begin + size])
            at_us = block.pts_us + round(begin / rate_hz * SECOND_US)
            part = AudioBlock(block.track, piece, at_us, rate_hz)
            if not self._ears.offer(
                lambda part=part: self._pipeline.audio(part, arrived_s),  # type: ignore[misc]
                kind=f"sound of {track}",
                weight=len(piece) / rate_hz,
                most=WAITING_S,
            ):
                lost = len(pcm) - begin
                self._counters.settle("samples", "dropped", lost, why="too much waits to be heard")
                break

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
        check_text(text)
        name = None if speaker is None else check_speaker(speaker)
        start_us, end_us = check_pts("start_us", start_us), check_pts("end_us", end_us)
        if end_us < start_us:
            raise InputError(f"end_us: expected {start_us} or later, got {end_us}; swap them")
        words = Words(text, start_us, end_us, name, bool(is_final))
        self._expect_open()
        self._counters.receive("texts")
        arrived_s = time.perf_counter()
        if self._ears is None:
            self._do(lambda: self._pipeline.text(words, arrived_s))
        elif not self._ears.offer(
            lambda: self._pipeline.text(words, arrived_s),
            kind="texts",
            weight=1,
            most=WAITING_TEXTS,
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
        return self._do(lambda: self._pipeline.begin_turn(track, name, at_us))

    def end_turn(self, turn_id: int) -> None:
        """End a turn that `begin_turn` began. Raises InputError where there is none."""
        if not self._do(lambda: self._pipeline.end_turn(turn_id)):
            raise InputError(
                f"turn_id: expected a turn that goes on, got {turn_id!r}; "
                "give what begin_turn returned, once"
            )

    def poll(self) -> Event | None:
        """Return the next event; None where there is none now."""
        return self._outbox.take()

    def events(self, timeout_s: float | None = None) -> Iterator[Event]:
        """Give events as they come, until the session is closed or none came for `timeout_s`."""
        while True:
            event = self._outbox.take()
            if event is not None:
                yield event
            elif self._outbox.is_done or not self._outbox.wait(timeout_s):
                return

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Give events as they come, until the session is closed."""
        while not self._outbox.is_done:
            event = self._outbox.take()
            if event is not None:
                yield event
            else:
                await asyncio.to_thread(self._outbox.wait, POLL_S)

    @property
    def counters(self) -> dict[str, Any]:
        """What came in and what became of it, see docs/live.md."""
        return self._counters.as_dict()

    def flush(self) -> None:
        """End all turns now, and return when everything that was pushed is answered."""
        self._do(self._pipeline.flush)

    def close(self) -> None:
        """Answer what is left, and end. May be called again, and by a callback."""
        if self._is_closed:
            return
        self._is_closed = True
        self._do(self._pipeline.flush)
        if self._ears is not None:
            self._ears.close()
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

    def _tick(self) -> None:
        """Let time pass while nothing comes."""
        now_us = self._pipeline.now_us
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
            lambda: self._pipeline.transcribed(turn_id, text), kind="asr", weight=1, most=64
        )

    def _failed(self, error: Exception) -> None:
        self._counters.note(f"failed: {type(error).__name__}: {str(error)[:200]}")

    def _expect_open(self) -> None:
        if self._is_closed:
            raise InputError("expected an open session, got one that is closed; make another one")


def _check_ms(**times_ms: float) -> None:
    for name, value in times_ms.items():
        if not 1 <= value < 3_600_000:
            raise ConfigError(f"{name}: expected 1 ms to an hour, got {value!r}")
