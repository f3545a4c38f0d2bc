"""What is run with the time that is left, and what is told where that is not enough."""

import threading
import time
from typing import Any

import pytest

from dcet.live import LiveSession
from dcet.live.answering.alarm import Alarm
from dcet.live.answering.ending import Ending
from dcet.live.answering.planner import Choice, Costs, Planner
from dcet.live.answering.reporter import Spoken
from dcet.live.answering.texts import Words
from dcet.live.counters import Counters
from dcet.live.people.people import Who
from dcet.runtime import Bundle, Conversation, Encoded
from dcet.runtime.engines.engine import Arrays, Engine
from tests.live.scenes import RATE_HZ, Finder, adds_up, finals, picture, push, sound, taken


def test_the_cost_of_a_stage_is_a_high_quantile_of_its_own_size() -> None:
    costs = Costs(lambda: 100.0)
    for took_ms in range(1, 101):
        costs.note("audio", 1, took_ms)
        costs.note("audio", 2, 200)
    assert costs.expect_ms("audio", 1) == pytest.approx(97, abs=2)  # of the last 64
    assert costs.expect_ms("audio", 2) == 200
    assert costs.expect_ms("audio", 4) == 400  # scaled from the nearest
    assert costs.expect_ms("audio", 0) == 0
    assert costs.expect_ms("step", 1) == 25  # never seen


def test_after_a_pause_everything_is_expected_to_take_longer() -> None:
    now_s = [100.0]
    costs = Costs(lambda: now_s[0])
    costs.note("step", 1, 2.0)
    now_s[0] += 1
    assert costs.expect_ms("step", 1) == 3.0
    costs.note("step", 1, 10.0)  # cold
    costs.note("step", 1, 2.0)
    assert costs.expect_ms("step", 1) == 2.0
    now_s[0] += 1
    assert costs.expect_ms("step", 1) == 10.0
    now_s[0] += 10
    assert costs.expect_ms("step", 1) == 15.0


def test_what_was_left_out_is_tried_again_some_time() -> None:
    costs = Costs(lambda: 100.0)
    costs.note("audio", 1, 100.0)  # such as the first run of a cold machine
    costs.note("step", 1, 1.0)
    planner = Planner(costs)
    choices = [Choice({"step": 1, "audio": 1}), Choice({"step": 1}, "audio")]
    tried = [planner.plan(choices, 20)[0] is choices[0] for _ in range(20)]
    assert not tried[0]
    assert any(tried)


def test_the_first_choice_that_fits_is_taken_and_the_rest_named() -> None:
    costs = Costs(lambda: 100.0)
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
    rings = threading.Event()

    def ring() -> None:
        rung.append(1)
        rings.set()

    alarm = Alarm()
    alarm.set(time.perf_counter() + 0.01, ring)
    assert rings.wait(30)
    alarm.set(time.perf_counter() + 3600, ring)
    alarm.clear()
    alarm.close()
    assert rung == [1]


class Stalling(Engine):
    """Stalls in one graph until it is let go, when it is told to."""

    def __init__(self, engine: Engine, graph: str) -> None:
        self.name, self.reason = engine.name, engine.reason
        self.engine, self.graph = engine, graph
        self.gate = threading.Event()
        self.gate.set()

    def run(self, graph: str, inputs: Arrays) -> Any:
        if graph == self.graph:
            self.gate.wait(60)
        return self.engine.run(graph, inputs)


def test_a_turn_that_stalls_is_answered_by_the_deadline_and_then_revised(hearing: Bundle) -> None:
    engine = Stalling(hearing.engine("auto"), "text")
    session = LiveSession(hearing, engine=engine, deadline_ms=1000)
    session.turn("Ann", "i am happy")
    engine.gate.clear()
    final = session.turn("Ann", "so sad")  # returns although the engine is stuck
    engine.gate.set()
    assert final.kind == "final"
    assert final.estimate is not None
    assert final.estimate.modality_weights == {"text": 0, "audio": 0, "face": 0}
    assert final.estimate.abstains == "it is that of the turn before"
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


def test_a_turn_that_stalls_is_answered_with_its_last_interim(
    hearing: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ending, "is_safe", lambda *turn: True)  # interims, however slow it is
    engine = Stalling(hearing.engine("auto"), "step")
    session = LiveSession(hearing, engine=engine, deadline_ms=1000, interim_ms=2000)
    push(session, sound(3.6, [(1, 3.6)]))
    interim = next(session.events(60))
    engine.gate.clear()
    push(session, sound(1, ()), start_us=3_600_000)
    final = next(session.events(60))
    engine.gate.set()
    assert (final.kind, final.left_out[-1]) == ("final", "what came after the last interim")
    assert final.estimate is not None
    assert interim.estimate is not None
    assert final.estimate.probabilities == interim.estimate.probabilities
    assert [event.kind for event in taken(session)] == ["revised"]


def test_the_first_turn_of_a_stranger_that_stalls_is_late(hearing: Bundle) -> None:
    engine = Stalling(hearing.engine("auto"), "text")
    with LiveSession(hearing, engine=engine, deadline_ms=20) as session:
        engine.gate.clear()
        threading.Timer(0.2, engine.gate.set).start()
        final = session.turn("Ann", "so sad")
    assert (final.kind, final.status) == ("final", "late")  # there was nothing to tell before


def test_pictures_that_there_is_no_time_for_are_left_out(
    hearing: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Costs, "expect_ms", lambda self, stage, size: 30_000.0 if "find" in stage else 0.0
    )
    with LiveSession(hearing, deadline_ms=100_000, face_finder=Finder()) as session:
        event = session.turn("Ann", "i am", faces=[picture(1)] * 8, whole_frames=True)
    (left_out,) = event.left_out
    assert left_out.startswith("face: 5 of 8: each takes 30000 ms, ")


class Turn:
    """A turn of whose sound of 4 s all but the last one is encoded, if any is."""

    def __init__(self, ahead: Encoded | None) -> None:
        self.encoded_ahead, self.encoded = ahead, False

    def windows_left(self, speaker: str, end: int) -> int:
        return 2

    def ahead(self, speaker: str) -> tuple[int, Encoded | None]:
        return 3 * RATE_HZ, self.encoded_ahead

    def built_on(self, speaker: str, end: int) -> Encoded | None:
        return self.encoded_ahead

    def encode(self, speaker: str, end: int) -> Encoded | None:
        self.encoded = True
        return self.encoded_ahead


@pytest.mark.parametrize(
    ("audio_ms", "text_ms", "has_ahead", "encodes", "keeps_words", "left_out"),
    [
        (1e3, 1e3, True, True, True, []),
        (1e5, 1e3, True, False, True, ["audio: its last 1.0 s"]),
        (1e5, 1e3, False, False, True, ["audio"]),
        (1e5, 1e5, True, False, False, ["audio: its last 1.0 s", "text"]),
    ],
)
def test_what_a_stream_gives_up_first(
    hearing: Bundle,
    audio_ms: float,
    text_ms: float,
    has_ahead: bool,
    encodes: bool,
    keeps_words: bool,
    left_out: list[str],
) -> None:
    costs, counters = Costs(lambda: 100.0), Counters()
    for stage, size, took_ms in (("audio", 2, audio_ms), ("text", 1, text_ms), ("step", 1, 1.0)):
        costs.note(stage, size, took_ms)
    turn = Turn(Conversation(hearing).encode("Ann", "so") if has_ahead else None)
    words = [Words("i am happy", 0, 1, None, is_final=True)]
    spoken = Spoken(1, Who("Ann", 1), 0, 4_000_000, None, words, arrived_s=time.perf_counter())
    ending = Ending(Planner(costs), None, counters, deadline_ms=50_000)  # type: ignore[arg-type]
    ending.choose(spoken, turn, 4 * RATE_HZ)  # type: ignore[arg-type]
    assert turn.encoded == encodes
    assert bool(spoken.words) == keeps_words
    assert [each.split(": it would")[0] for each in spoken.left_out] == left_out
    assert spoken.encoded is turn.encoded_ahead


def test_the_alarm_and_the_answer_are_one_final(hearing: Bundle) -> None:
    """Whichever comes first, however close they are."""
    engine = Stalling(hearing.engine("auto"), "step")
    session = LiveSession(hearing, engine=engine, deadline_ms=20)
    for i in range(60):
        engine.gate.clear()
        threading.Timer(0.0145 + i % 10 / 5000, engine.gate.set).start()
        session.turn("Ann", "i am happy")
        engine.gate.wait(60)
    events = taken(session)
    assert [event.turn_id for event in finals(events)] == list(range(1, 61))
    assert adds_up(session)
