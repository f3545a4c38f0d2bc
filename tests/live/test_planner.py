"""What is run with the time that is left, and what is told where that is not enough."""

import threading
import time
from typing import Any

import pytest

from dcet.live import LiveSession
from dcet.live.alarm import Alarm
from dcet.live.planner import Choice, Costs, Planner
from dcet.runtime import Bundle
from dcet.runtime.engines.engine import Arrays, Engine
from tests.live.scenes import RATE_HZ, Finder, adds_up, finals, picture, push, sound, taken


def test_the_cost_of_a_stage_is_a_high_quantile_of_its_own_size() -> None:
    costs = Costs()
    for took_ms in range(1, 101):
        costs.note("audio", 1, took_ms)
        costs.note("audio", 2, 200)
    assert costs.expect_ms("audio", 1) == pytest.approx(97, abs=2)  # of the last 64
    assert costs.expect_ms("audio", 2) == 200
    assert costs.expect_ms("audio", 4) == 400  # scaled from the nearest
    assert costs.expect_ms("audio", 0) == 0
    assert costs.expect_ms("step", 1) == 25  # never seen


def test_after_a_pause_everything_is_expected_to_take_longer() -> None:
    costs = Costs()
    costs.note("step", 1, 2.0)
    time.sleep(0.35)
    assert costs.expect_ms("step", 1) == 3.0
    costs.note("step", 1, 10.0)  # cold
    costs.note("step", 1, 2.0)
    assert costs.expect_ms("step", 1) == 2.0
    time.sleep(0.35)
    assert costs.expect_ms("step", 1) == 10.0


def test_the_first_choice_that_fits_is_taken_and_the_rest_named() -> None:
    costs = Costs()
    costs.note("audio", 2, 20)
    costs.note("text", 1, 10)
    costs.note("step", 1, 2)
    choices = [
        Choice({"step": 1, "text": 1, "audio": 2}),
        Choice({"step": 1, "text": 1}, "audio"),
        Choice({"step": 1}, "text"),
    ]
    planner = Planner(costs)
    assert planner.plan(choices, None) == (choices[0], ())
    assert planner.plan(choices, 40) == (choices[0], ())
    choice, left_out = planner.plan(choices, 15)
    assert choice == choices[1]
    assert left_out == ("audio: it would take 32 ms, 15 ms are left",)
    assert planner.plan(choices, 5)[0] == choices[2]
    choice, left_out = planner.plan(choices, 1)
    assert choice is None
    assert left_out[-1] == "all but the memory: it would take 2 ms, 1 ms are left"


def test_an_alarm_rings_once_unless_it_is_cleared() -> None:
    rung: list[int] = []
    alarm = Alarm()
    alarm.set(time.perf_counter() + 0.02, lambda: rung.append(1))
    time.sleep(0.1)
    alarm.set(time.perf_counter() + 0.02, lambda: rung.append(2))
    alarm.clear()
    time.sleep(0.1)
    alarm.close()
    assert rung == [1]


class Stalling(Engine):
    """Stalls in one graph when it is told to."""

    def __init__(self, engine: Engine, graph: str) -> None:
        self.name, self.reason = engine.name, engine.reason
        self.engine, self.graph, self.seconds = engine, graph, 0.0

    def run(self, graph: str, inputs: Arrays) -> Any:
        if graph == self.graph:
            time.sleep(self.seconds)
        return self.engine.run(graph, inputs)


def test_a_turn_that_stalls_is_answered_by_the_deadline_and_then_revised(hearing: Bundle) -> None:
    engine = Stalling(hearing.engine("auto"), "text")
    session = LiveSession(hearing, engine=engine, deadline_ms=200)
    session.turn("Ann", "i am happy")
    engine.seconds = 0.6
    started = time.perf_counter()
    final = session.turn("Ann", "so sad")
    assert time.perf_counter() - started < 0.25
    assert (final.kind, final.status) == ("final", "abstain")
    assert final.estimate is not None
    assert final.estimate.modality_weights == {"text": 0, "audio": 0, "face": 0}
    assert final.left_out == (
        "everything else: it is not done in time",
        "the turn itself: this is what was remembered",
    )
    revised = taken(session)[-1]
    assert (revised.kind, revised.status, revised.turn_id) == ("revised", "late", 2)
    assert revised.estimate is not None
    assert revised.estimate.turn == 2  # it became memory
    assert session.counters["turns"] == {
        "received": 2, "used": 1, "late": 1, "dropped": 0, "waiting": 0,
    }  # fmt: skip
    assert adds_up(session)


def test_the_first_turn_of_a_stranger_that_stalls_is_late(hearing: Bundle) -> None:
    engine = Stalling(hearing.engine("auto"), "text")
    with LiveSession(hearing, engine=engine, deadline_ms=50) as session:
        engine.seconds = 0.2
        final = session.turn("Ann", "so sad")
    assert (final.kind, final.status) == ("final", "late")  # there was nothing to tell before


def test_pictures_that_there_is_no_time_for_are_left_out(hearing: Bundle) -> None:
    class Slow(Finder):
        def find(self, frame: Any, *place: Any) -> Any:
            time.sleep(0.02)
            return self.find_all(frame)[0]

    with LiveSession(hearing, deadline_ms=100, face_finder=Slow()) as session:
        for _ in range(12):
            event = session.turn("Ann", "i am", faces=[picture(1)] * 8, whole_frames=True)
    assert event.estimate is not None
    assert event.latency_ms["total"] <= 100
    (left_out,) = event.left_out
    assert left_out.startswith("face: ")
    assert " of 8: each takes " in left_out
    assert event.estimate.modality_weights["face"] > 0


def test_a_stream_whose_last_window_takes_too_long_is_answered_from_the_others(
    hearing: Bundle,
) -> None:
    """The windows of the first seconds were encoded while they were spoken."""
    engine = Stalling(hearing.engine("auto"), "audio")
    engine.seconds = 0.2
    session = LiveSession(hearing, engine=engine, deadline_ms=50)
    pcm = sound(6, [(0.5, 5)])
    for begin in range(0, len(pcm), 1600):
        push(session, pcm[begin : begin + 1600], start_us=begin * 1_000_000 // RATE_HZ)
        time.sleep(0.1)
    events = taken(session)
    (final,) = finals(events)
    assert final.status != "missing"
    assert final.latency_ms["total"] <= 60
    assert final.latency_ms["ahead"] >= 200
    assert final.left_out[0].startswith("audio: its last ")
    assert session.counters["notes"]["sound not encoded ahead: there was no time"] >= 1
    assert adds_up(session)


@pytest.mark.parametrize("idle_s", [0, 1])
def test_a_pause_does_not_make_a_turn_late(hearing: Bundle, idle_s: float) -> None:
    with LiveSession(hearing, deadline_ms=100) as session:
        session.turn("Ann", "i am happy")
        time.sleep(idle_s)
        event = session.turn("Ann", "so sad", sound(2, [(0, 2)]))
    assert event.status in ("ok", "abstain")


def test_the_alarm_and_the_answer_are_one_final(hearing: Bundle) -> None:
    """Whichever comes first, however close they are."""
    engine = Stalling(hearing.engine("auto"), "step")
    session = LiveSession(hearing, engine=engine, deadline_ms=20)
    for i in range(60):
        engine.seconds = 0.0145 + i % 10 / 5000
        session.turn("Ann", "i am happy")
    events = taken(session)
    assert [event.turn_id for event in finals(events)] == list(range(1, 61))
    assert adds_up(session)
    assert threading.active_count() < 20
