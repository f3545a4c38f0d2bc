"""Everything that comes in ends in exactly one of used, late and dropped."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcet.live import LiveSession
from dcet.live.counters import Counters
from dcet.live.outbox import MOST, Outbox
from dcet.runtime import Bundle
from dcet.runtime.engines.engine import Arrays, Engine
from tests.live.scenes import RATE_HZ, Finder, adds_up, finals, picture, sound

TIMES_US = st.one_of(
    st.integers(0, 4_000_000), st.integers(-(2**53) + 1, 2**53 - 1), st.sampled_from([0, 10**12])
)
PUSHES = st.lists(
    st.one_of(
        st.tuples(
            st.just("sound"),
            TIMES_US,
            st.integers(0, 20_000),
            st.sampled_from([8000, 16_000, 44_100]),
            st.floats(0, 0.2),
        ),
        st.tuples(st.just("frame"), TIMES_US, st.integers(0, 3)),
        st.tuples(
            st.just("text"),
            TIMES_US,
            st.integers(0, 3_000_000),
            st.booleans(),
            st.sampled_from([None, "Ann"]),
        ),
        st.tuples(st.sampled_from(["begin", "flush", "reset", "turn"]), TIMES_US),
    ),
    max_size=30,
)


def push_any(session: LiveSession, pushes: list[Any]) -> None:
    """Push, and end what was begun, whatever it is."""
    for kind, at_us, *rest in pushes:
        if kind == "sound":
            count, rate_hz, loud = rest
            tone = loud * np.sin(np.arange(count) * 4800 / rate_hz)
            session.push_audio(tone.astype(np.float32), at_us, sample_rate_hz=rate_hz)
        elif kind == "frame":
            session.push_frame(picture(*range(rest[0]), noise=abs(at_us) % 251), at_us)
        elif kind == "text":
            long_us, is_final, speaker = rest
            end_us = min(2**53 - 1, at_us + long_us)
            session.push_text("so happy", at_us, end_us, is_final=is_final, speaker=speaker)
        elif kind == "begin":
            session.begin_turn()
        elif kind == "turn":
            session.turn("Ann", "i am happy")
        elif kind == "flush":
            session.flush()
        else:
            session.reset()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pushes=PUSHES)
def test_counters_add_up_whatever_is_pushed(hearing: Bundle, pushes: list[Any]) -> None:
    session = LiveSession(hearing, threaded=False, face_finder=Finder())
    push_any(session, pushes)
    session.close()
    assert adds_up(session)
    events = list(session.events())
    turns = session.counters["turns"]
    answered = [event for event in finals(events) if event.status != "missing"]
    assert turns["used"] == len(answered)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    for turn_id in {event.turn_id for event in events}:
        kinds = [event.kind for event in events if event.turn_id == turn_id]
        assert kinds.count("final") <= 1
        assert kinds.count("revised") <= 1
        assert kinds == sorted(kinds, key=["interim", "final", "revised"].index)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pushes=PUSHES)
def test_counters_add_up_with_threads(hearing: Bundle, pushes: list[Any]) -> None:
    session = LiveSession(hearing, face_finder=Finder())
    push_any(session, pushes)
    session.close()
    assert adds_up(session)


class Slow(Engine):
    """Takes a while for each graph, such as a machine that is too slow."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self.name, self.reason = engine.name, engine.reason
        self.engine, self.seconds = engine, seconds

    def run(self, graph: str, inputs: Arrays) -> Any:
        if graph == "speech":
            time.sleep(self.seconds)
        return self.engine.run(graph, inputs)


def test_under_more_than_it_can_take_counters_add_up(hearing: Bundle) -> None:
    """What comes in takes far longer than it lasts: no more than 30 s wait, the rest is named."""
    block = 4000  # a quarter of a second
    session = LiveSession(hearing, engine=Slow(hearing.engine("auto"), 0.05), face_finder=Finder())
    pcm = sound(120, [(i * 4 + 1, i * 4 + 3) for i in range(30)])
    for begin in range(0, len(pcm), block):
        at_us = begin * 1_000_000 // RATE_HZ
        session.push_audio(pcm[begin : begin + block], at_us)
        session.push_frame(picture(1, noise=begin // block), at_us)
        if begin % RATE_HZ == 0:
            session.push_text("so happy", at_us, at_us + 500_000)
    session.close()
    assert adds_up(session)
    counts = session.counters
    assert counts["samples"]["dropped"] + counts["samples"]["used"] == len(pcm)
    assert counts["samples"]["dropped"] > 0
    assert counts["notes"]["samples dropped: too much waits to be heard"] > 0


def test_events_that_nobody_takes_are_bounded_and_finals_kept_longest(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    session.push_audio(sound(2, [(0.5, 1.5)]), 0)
    session.close()
    interim, *_, final = list(session.events())
    counters = Counters()
    outbox = Outbox(counters)
    for _ in range(10):
        outbox.put(final)
    for _ in range(MOST):
        outbox.put(interim)
    for _ in range(10):
        outbox.put(final)
    kept = []
    while (event := outbox.take()) is not None:
        kept.append(event.kind)
    assert len(kept) == MOST
    assert kept.count("final") == 20
    assert counters.as_dict()["notes"] == {"events that nobody took": 20}


@pytest.mark.parametrize("fate", ["used", "late", "dropped"])
def test_what_is_not_settled_waits(fate: Any) -> None:
    counters = Counters()
    counters.receive("frames", 3)
    counters.settle("frames", fate, 2, why="no reason")
    counts = counters.as_dict()["frames"]
    assert counts == {"received": 3, "used": 0, "late": 0, "dropped": 0, "waiting": 1} | {fate: 2}
