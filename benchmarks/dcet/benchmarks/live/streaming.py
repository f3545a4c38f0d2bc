"""A stream in real time: how long after the end of speech a final is there, and what it costs."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from dcet.benchmarks.live.deadlines import count_left_out
from dcet.benchmarks.live.load import busy
from dcet.benchmarks.live.room_stream import BLOCK_S, RoomStream
from dcet.benchmarks.progress import Track
from dcet.benchmarks.stats import Summary, summarise
from dcet.live.events import Event
from dcet.live.session import LiveSession
from dcet.runtime import Bundle, FaceFinder
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.senses.face import Pixels

FRAME_RATE = 30.0
WARM_S = 8.0  # at first, that do not count: graphs are compiled, costs are learnt
IDLE_S = 10.0
CAMERA_NOISE = 3.0  # of 255, in each pixel of a still room
WALLS = 7  # pictures of it, again and again
WATCH_S = 1.0  # between two steps of the progress bar


@dataclass(frozen=True, kw_only=True)
class Streaming:
    """Finals of a stream in real time."""

    stream: str
    pictures: tuple[int, int]  # height and width
    busy: int  # processes beside it
    seconds: float
    deadline_ms: float
    hangover_ms: float
    latency_ms: Summary | None  # from the block that ends the hangover to the final; None: no turn
    after_speech_ms: Summary | None  # from the end of the speech, hangover and all
    stages_ms: dict[str, float]  # medians of the session's own account
    turns: int
    on_time: float  # share of the finals
    interims: int
    left_out: dict[str, int]  # finals, by what was left out of them
    cpu_cores: float  # mean
    counters: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class IdleRoom:
    """A room in which nobody speaks and nobody is seen."""

    seconds: float
    cpu_cores: float  # mean
    turns: int  # there should be none


def measure_streaming(
    bundle: Bundle,
    engine: str,
    finder: FaceFinder,
    stream: RoomStream,
    *,
    seconds: float,
    deadline_ms: float,
    load: int,
    track: Track,
) -> Streaming:
    """Stream sound and pictures in real time beside `load` busy processes."""
    with busy(load):
        run = _Run(bundle, engine, finder, deadline_ms)
        run.stream(stream.blocks(), stream.frames(FRAME_RATE), WARM_S + seconds, WARM_S, track)
    finals = [event for event in run.finals if event.end_us >= WARM_S * 1e6]
    names = dict.fromkeys(name for event in finals for name in event.latency_ms)
    latencies_ms = [event.latency_ms["total"] for event in finals]
    height, width = stream.pictures[0].shape[:2]
    return Streaming(
        stream=stream.name,
        pictures=(height, width),
        busy=load,
        seconds=seconds,
        deadline_ms=deadline_ms,
        hangover_ms=float(np.median([e.latency_ms["hangover"] for e in finals] or [0.0])),
        latency_ms=summarise(latencies_ms) if finals else None,
        after_speech_ms=summarise([run.after_speech_ms(e) for e in finals]) if finals else None,
        stages_ms={
            name: float(np.median([event.latency_ms.get(name, 0.0) for event in finals]))
            for name in names
        },
        turns=len(finals),
        on_time=sum(event.status in ("ok", "abstain") for event in finals) / max(1, len(finals)),
        interims=run.interims,
        left_out=count_left_out(finals),
        cpu_cores=run.cpu_cores,
        counters=run.counters,
    )


def measure_idle(
    bundle: Bundle, engine: str, finder: FaceFinder, picture: Pixels, track: Track
) -> IdleRoom:
    """Stream a still room: noise of -60 dBFS, and pictures of a wall with a camera's noise."""
    rng = np.random.default_rng(0)
    samples = round(BLOCK_S * SAMPLE_RATE_HZ)
    noise = rng.normal(0, 1e-3, (50, samples)).astype(np.float32)
    blocks = ((round(n * BLOCK_S * 1e6), noise[n % 50]) for n in range(10**6))
    walls = [
        np.clip(rng.normal(120, CAMERA_NOISE, picture.shape), 0, 255).astype(np.uint8)
        for _ in range(WALLS)
    ]
    frames = ((round(n * 1e6 / FRAME_RATE), each) for n, each in enumerate(cycle(walls)))
    run = _Run(bundle, engine, finder, 50.0)
    run.stream(blocks, frames, WARM_S + IDLE_S, WARM_S, track)
    return IdleRoom(seconds=IDLE_S, cpu_cores=run.cpu_cores, turns=len(run.finals))


class _Run:
    """One session that is fed in real time."""

    def __init__(self, bundle: Bundle, engine: str, finder: FaceFinder, deadline_ms: float) -> None:
        self._session = LiveSession(
            bundle,
            engine=engine,
            deadline_ms=deadline_ms,
            face_finder=finder,
            on_event=self._hear,
        )
        self._came_s: dict[int, float] = {}
        self.finals: list[Event] = []
        self.interims = 0
        self.cpu_cores = 0.0
        self.counters: dict[str, Any] = {}
        self._start_s = 0.0

    def after_speech_ms(self, event: Event) -> float:
        """From when the end of the speech was due to be pushed, to when the final came."""
        return (self._came_s[event.turn_id] - self._start_s - event.end_us / 1e6) * 1000

    def stream(
        self,
        blocks: Iterator[tuple[int, Any]],
        frames: Iterator[tuple[int, Pixels]],
        seconds: float,
        warm_s: float,
        track: Track,
    ) -> None:
        """Push both as their times come; processor time counts from `warm_s` on."""
        self._start_s = time.perf_counter()
        ends_s = self._start_s + seconds
        feeders = [
            threading.Thread(target=self._feed, args=(items, delay_s, push, ends_s))
            for items, delay_s, push in (
                (blocks, BLOCK_S, self._session.push_audio),
                (frames, 0.0, self._session.push_frame),
            )
        ]
        for feeder in feeders:
            feeder.start()
        time.sleep(warm_s)
        cpu_s, since_s = time.process_time(), time.perf_counter()
        for _ in track(range(int((ends_s - since_s) / WATCH_S)), "stream, in real time"):
            time.sleep(WATCH_S)
        self.cpu_cores = (time.process_time() - cpu_s) / (time.perf_counter() - since_s)
        for feeder in feeders:
            feeder.join()
        self._session.close()
        self.counters = self._session.counters

    def _feed(
        self, items: Iterator[tuple[int, Any]], delay_s: float, push: Any, ends_s: float
    ) -> None:
        for at_us, item in items:
            due_s = self._start_s + at_us / 1e6 + delay_s
            if due_s > ends_s:
                return
            time.sleep(max(0.0, due_s - time.perf_counter()))
            push(item, at_us)

    def _hear(self, event: Event) -> None:
        if event.kind == "interim":
            self.interims += 1
        elif event.kind == "final":
            self._came_s[event.turn_id] = time.perf_counter()
            self.finals.append(event)
