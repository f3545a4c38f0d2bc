"""Hours of a stream in fast-forward: whether memory, latency and counters hold.

It is made to be cheap, so that eight hours take less than one: what is kept depends neither on the
rate of frames and their size, nor on the length of blocks.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dcet.benchmarks.latency.process_memory import rss_bytes
from dcet.benchmarks.live.room_stream import RoomStream
from dcet.benchmarks.progress import Track
from dcet.live.session import LiveSession
from dcet.runtime import Bundle, FaceFinder
from dcet.runtime.extras import need

FRAME_RATE = 1.0
HEIGHT, WIDTH = 360, 640  # of the pictures
BLOCK_S = 0.2
LONG_PAUSE_S = 4.0  # between turns
MINUTE_US = 60_000_000
WARM_MINUTES = 10
STREAMS = ("samples", "frames", "texts", "turns")


@dataclass(frozen=True, kw_only=True)
class Minute:
    at: int  # the minute, from 1
    rss_bytes: int
    turns: int
    p99_ms: float  # of what the finals of this minute took


@dataclass(frozen=True, kw_only=True)
class LongRun:
    minutes: tuple[Minute, ...]
    took_s: float
    warm_minutes: int  # after which memory should not grow
    growth_bytes: int  # from then to the end
    p99_first_ms: float  # over the first half after the warm minutes, and the second
    p99_last_ms: float
    counters: dict[str, Any]
    is_exact: bool  # everything that was pushed was counted, and became something


def measure_long_run(
    bundle: Bundle,
    engine: str,
    finder: FaceFinder,
    stream: RoomStream,
    minutes: int,
    track: Track,
) -> LongRun:
    """Push so many minutes, as fast as they are worked on."""
    cv2 = need("cv2", extra="live")
    small = tuple(cv2.resize(picture, (WIDTH, HEIGHT)) for picture in stream.pictures)
    blocks, words = stream.blocks(BLOCK_S), stream.words(BLOCK_S)
    frames = replace(stream, pictures=small).frames(FRAME_RATE)
    pushed = dict.fromkeys(STREAMS, 0)
    rows: list[Minute] = []
    latencies_ms: list[list[float]] = []
    began_s = time.perf_counter()
    with LiveSession(bundle, engine=engine, face_finder=finder, threaded=False) as session:
        frame_us, frame = next(frames)
        said = next(words)
        for minute in track(range(1, minutes + 1), "hours in fast-forward"):
            took_ms: list[float] = []
            for block_us, block in blocks:
                while frame_us <= block_us:
                    session.push_frame(frame, frame_us)
                    pushed["frames"] += 1
                    frame_us, frame = next(frames)
                while said[1] <= block_us:
                    session.push_text(said[2], *said[:2])
                    pushed["texts"] += 1
                    said = next(words)
                session.push_audio(block, block_us)
                pushed["samples"] += len(block)
                took_ms += [
                    event.latency_ms["total"]
                    for event in session.events(0)
                    if event.kind == "final"
                ]
                if block_us + round(BLOCK_S * 1e6) >= minute * MINUTE_US:
                    break
            pushed["turns"] += len(took_ms)
            latencies_ms.append(took_ms)
            rows.append(
                Minute(at=minute, rss_bytes=rss_bytes(), turns=len(took_ms), p99_ms=_p99(took_ms))
            )
        session.flush()
        pushed["turns"] += sum(event.kind == "final" for event in session.events(0))
    warm = min(WARM_MINUTES, max(1, minutes // 2))
    later = latencies_ms[warm:] or latencies_ms
    half = max(1, len(later) // 2)
    return LongRun(
        minutes=tuple(rows),
        took_s=time.perf_counter() - began_s,
        warm_minutes=warm,
        growth_bytes=max(0, rows[-1].rss_bytes - rows[warm - 1].rss_bytes),
        p99_first_ms=_p99([one for of in later[:half] for one in of]),
        p99_last_ms=_p99([one for of in later[-half:] for one in of]),
        counters=session.counters,
        is_exact=_is_exact(pushed, session.counters),
    )


def _p99(samples_ms: Sequence[float]) -> float:
    return float(np.quantile(samples_ms, 0.99)) if len(samples_ms) else 0.0


def _is_exact(pushed: dict[str, int], counters: dict[str, Any]) -> bool:
    return all(
        counters[name]["received"] == count
        and sum(counters[name][fate] for fate in ("used", "late", "dropped")) == count
        for name, count in pushed.items()
    )
