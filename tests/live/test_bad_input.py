"""Whatever misbehaves is named, and the rest goes on."""

import threading
import tracemalloc
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from dcet.live import Event, LiveSession
from dcet.runtime import Bundle
from dcet.runtime.engines.engine import Arrays, Engine
from dcet.runtime.errors import ConfigError, EngineError, InputError
from tests.live.scenes import RATE_HZ, adds_up, finals, plain, push, sound, taken

VOICED = ((1, 2.5), (4, 5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pcm": np.zeros(100, np.int32)}, "audio: expected a NumPy array of int16"),
        ({"pcm": np.zeros((2, 100, 2), np.float32)}, "audio: expected samples of shape"),
        ({"pcm": [0.0] * 100}, "audio: expected a NumPy array"),
        ({"sample_rate_hz": 0}, "sample_rate_hz: expected a whole number"),
        ({"pts_us": 2**63}, "pts_us: expected whole microseconds"),
        ({"track": 5}, "track: expected a str"),
    ],
)
def test_a_mistake_of_the_host_is_an_error_and_counts_as_nothing(
    hearing: Bundle, arguments: dict[str, Any], message: str
) -> None:
    with LiveSession(hearing, threaded=False) as session:
        given: dict[str, Any] = {"pcm": np.zeros(100, np.float32), "pts_us": 0}
        with pytest.raises(InputError, match=message):
            session.push_audio(**(given | arguments))
        assert session.counters["samples"]["received"] == 0


def test_options_that_cannot_be_used_are_refused(hearing: Bundle) -> None:
    for options in (
        {"deadline_ms": -1},
        {"deadline_ms": 0},
        {"interim_ms": 0},
        {"hangover_ms": "long"},
    ):
        with pytest.raises(ConfigError, match=next(iter(options))):
            LiveSession(hearing, **options)


def test_samples_that_are_no_numbers_are_silence_and_dropped(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    pcm = sound(6, VOICED)
    pcm[3 * RATE_HZ : 3 * RATE_HZ + 500] = np.nan
    pcm[3 * RATE_HZ + 700] = np.inf
    push(session, pcm)
    assert len(finals(taken(session))) == 2
    assert session.counters["samples"]["dropped"] == 501
    assert session.counters["notes"]["samples dropped: NaN or infinite"] == 501
    assert adds_up(session)


def test_half_an_hour_in_one_push_is_worked_off(hearing: Bundle) -> None:
    pcm = np.zeros(1800 * 8000, np.int16)
    pcm[8_000:20_000] = (sound(1.5, [(0, 1.5)], 8000) * 32_767).astype(np.int16)
    session = LiveSession(hearing, threaded=False)
    session.push_audio(pcm, 0, sample_rate_hz=8000)
    assert len(finals(taken(session))) == 1
    assert session.counters["samples"]["used"] == len(pcm)


def test_a_long_push_is_worked_off_in_pieces(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(1, ()))
    tracemalloc.start()
    session.push_audio(np.zeros(120 * 8000, np.int16), 1_000_000, sample_rate_hz=8000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    session.close()
    assert most < 3e6  # where two minutes at 16 kHz take 8 MB


def test_more_than_may_wait_is_dropped_and_counted(hearing: Bundle) -> None:
    session = LiveSession(hearing)
    session.push_audio(np.zeros(3000 * RATE_HZ, np.int16), 0)  # fifty minutes
    session.close()
    counts = session.counters["samples"]
    assert counts["used"] >= 30 * RATE_HZ
    assert counts["dropped"] > 0
    assert counts["used"] + counts["dropped"] == counts["received"]


def test_a_rate_that_changes_in_a_turn_changes_little(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(2, VOICED))
    push(session, sound(4, VOICED, 48_000)[96_000:], rate_hz=48_000, block=960, start_us=2_000_000)
    (event,) = finals(taken(session))
    assert event.end_us == pytest.approx(2_500_000, abs=150_000)
    assert session.counters["notes"]["changes of the sample rate"] == 1


def test_channels_are_mixed_and_may_change(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    pcm = sound(4, VOICED)
    push(session, np.stack([pcm, pcm], axis=1)[:32_000])
    push(session, (pcm[32_000:] * 32_767).astype(np.int16), start_us=2_000_000)
    other = LiveSession(hearing, threaded=False)
    push(other, pcm)
    (one,), (two,) = finals(taken(session)), finals(taken(other))
    assert (one.start_us, one.end_us) == (two.start_us, two.end_us)


def test_a_microphone_that_is_unplugged_and_comes_back(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(2, VOICED))  # unplugged in the middle of a turn
    push(session, sound(1.5, ()), start_us=2_000_000, track="another")  # time goes on
    event = session.poll()
    while event is not None and event.kind != "final":
        event = session.poll()
    assert event is not None
    push(session, sound(4, [(1, 2)]), start_us=8_000_000)
    (again,) = finals(taken(session))
    assert again.start_us == pytest.approx(9_000_000, abs=130_000)
    assert session.counters["notes"]["microphone 'mic' fell silent in a turn"] == 1
    assert adds_up(session)


def test_a_microphone_whose_clock_is_far_off_leaves_the_others_alone(hearing: Bundle) -> None:
    alone, session = (LiveSession(hearing, threaded=False) for _ in range(2))
    pcm = sound(6, VOICED)
    push(alone, pcm)
    push(session, pcm[: 2 * RATE_HZ])
    session.push_audio(np.zeros(1600, np.int16), 10**12, track="far")
    push(session, pcm[2 * RATE_HZ :], start_us=2_000_000)
    spans = [
        [(event.start_us, event.end_us) for event in finals(taken(each))]
        for each in (alone, session)
    ]
    assert spans[0] == spans[1]
    assert session.counters["notes"]["microphone 'far': its time is far from that before"] == 1
    assert adds_up(session)


@pytest.mark.parametrize("at_us", [-(10**15), 10**15])
def test_a_turn_begun_at_a_time_without_sound_begins_at_the_nearest(
    hearing: Bundle, at_us: int
) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(2, ()))
    turn_id = session.begin_turn("Ann", at_us=at_us)
    push(session, sound(2, [(0.5, 1.5)]), start_us=2_000_000)
    session.end_turn(turn_id)
    (final,) = finals(taken(session))
    assert 0 <= final.start_us <= 2_000_000 < final.end_us
    assert any("no sound is kept" in note for note in session.counters["notes"])


def test_without_more_sound_a_turn_ends_by_itself(hearing: Bundle) -> None:
    with LiveSession(hearing, deadline_ms=None) as session:
        push(session, sound(2, VOICED))
        assert any(event.kind == "final" for event in session.events(30))


def test_words_before_any_sound_are_a_turn_at_once(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    session.push_text("i am happy", 10_000_000, 11_000_000)
    event = session.poll()
    assert event is not None
    assert (event.kind, event.text) == ("final", "i am happy")
    session.close()
    assert adds_up(session)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hi", 5, 4), "end_us: expected 5 or later"),
        (("hi", 0, 2**63), "end_us: expected whole microseconds"),
        ((b"hi", 0, 1), "text: expected a str"),
        (("a" * 9000, 0, 1), "text: expected one utterance of at most 8192"),
    ],
)
def test_words_that_cannot_be_are_refused(
    hearing: Bundle, arguments: tuple[Any, int, int], message: str
) -> None:
    with LiveSession(hearing, threaded=False) as session, pytest.raises(InputError, match=message):
        session.push_text(*arguments)


def test_a_speaker_renamed_in_a_turn_is_the_one_named_first(hearing: Bundle) -> None:
    """Each word says who spoke: the first name is that of the turn; both are counted as used."""
    session = LiveSession(hearing, threaded=False)
    push(session, sound(2.4, VOICED))
    session.push_text("i am", 1_000_000, 1_600_000, speaker="Ann")
    session.push_text("so happy", 1_600_000, 2_400_000, speaker="Bob")
    push(session, sound(1, ()), start_us=2_500_000)
    (event,) = finals(taken(session))
    assert (event.speaker, event.text) == ("Ann", "i am so happy")
    assert adds_up(session)


def test_a_speaker_named_after_the_final_has_the_revision(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    session.push_text("so fine", 0, 1)
    push(session, sound(4, VOICED))
    session.push_text("i am happy", 1_000_000, 2_500_000, speaker="Bob")
    revised = taken(session)[-1]
    assert (revised.kind, revised.speaker, revised.status) == ("revised", "Bob", "ok")
    assert "Bob" in session.conversation.speakers


@pytest.mark.parametrize("threaded", [False, True])
def test_a_callback_that_raises_is_named(hearing: Bundle, threaded: bool) -> None:
    def fail(event: Event) -> None:
        told.append(event)
        raise RuntimeError("out of order")

    told: list[Event] = []
    session = LiveSession(hearing, threaded=threaded, deadline_ms=None, on_event=fail)
    push(session, sound(6, VOICED))
    session.close()
    assert len(finals(told)) == 2
    note = "callback raised RuntimeError: out of order"
    assert session.counters["notes"][note] == len(told)


def test_a_callback_that_raises_what_is_no_exception_is_named(hearing: Bundle) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def fail(event: Event) -> None:
        told.append(event)
        raise SystemExit(3) if len(told) == 1 else Mute

    told: list[Event] = []
    session = LiveSession(hearing, deadline_ms=None, on_event=fail)
    push(session, sound(6, VOICED))
    session.close()
    assert len(finals(told)) == 2
    notes = session.counters["notes"]
    assert notes["callback raised SystemExit: 3"] == 1
    assert notes["callback raised Mute: it has no message"] == len(told) - 1


def test_a_callback_that_hangs_is_named_and_holds_nobody_up(hearing: Bundle) -> None:
    freed = threading.Event()
    session = LiveSession(hearing, deadline_ms=None, on_event=lambda event: freed.wait(60))
    push(session, sound(6, VOICED))
    session.close()
    assert not freed.is_set()
    assert session.counters["turns"]["used"] == 2
    assert session.counters["notes"]["callback hangs"] >= 1
    freed.set()


@pytest.mark.parametrize("threaded", [False, True])
def test_a_callback_may_close_the_session(hearing: Bundle, threaded: bool) -> None:
    closed = threading.Event()

    def close(event: Event) -> None:
        session.close()
        closed.set()

    session = LiveSession(hearing, threaded=threaded, deadline_ms=None, on_event=close)
    with suppress(InputError):  # raised by pushes from when it is closed
        push(session, sound(6, VOICED))
    session.flush()
    assert closed.wait(5)
    with pytest.raises(InputError, match="expected an open session"):
        push(session, sound(1, ()))
    session.close()
    assert adds_up(session)


class Failing(Engine):
    """Runs everything but one graph, as long as it is told to fail."""

    def __init__(self, engine: Engine, graph: str, error: type[Exception] = EngineError) -> None:
        self.name, self.reason = engine.name, engine.reason
        self.engine, self.graph, self.error, self.fails = engine, graph, error, True

    def run(self, graph: str, inputs: Arrays) -> Any:
        if graph == self.graph and self.fails:
            raise self.error(f"{graph}: out of memory")
        return self.engine.run(graph, inputs)


@pytest.mark.parametrize("error", [EngineError, RuntimeError])  # the latter of an own engine
@pytest.mark.parametrize(
    ("graph", "status"), [("audio", "missing"), ("step", "missing"), ("text", "ok")]
)
def test_an_engine_that_fails_is_named_and_the_next_turn_answered(
    hearing: Bundle, graph: str, status: str, error: type[Exception]
) -> None:
    engine = Failing(hearing.engine("auto"), graph, error)
    session = LiveSession(hearing, engine=engine, threaded=False)
    pcm = sound(6, VOICED)
    push(session, pcm[: 3 * RATE_HZ])
    engine.fails = False
    push(session, pcm[3 * RATE_HZ :], start_us=3_000_000)
    first, second = finals(taken(session))
    assert (first.status, second.status) == (status, "ok")
    if status == "missing":
        assert "out of memory" in " ".join(first.left_out)
    assert adds_up(session)


def test_an_engine_that_cannot_hear_does_not_end_the_session(hearing: Bundle) -> None:
    engine = Failing(hearing.engine("auto"), "speech")
    session = LiveSession(hearing, engine=engine, deadline_ms=None)
    push(session, sound(1, ()))
    session.flush()
    engine.fails = False
    push(session, sound(6, VOICED)[RATE_HZ:], start_us=1_000_000)
    assert len(finals(taken(session))) == 2
    assert any("speech: out of memory" in note for note in session.counters["notes"])


def test_the_host_may_change_what_it_pushed(hearing: Bundle) -> None:
    block = np.zeros(RATE_HZ, np.float32)
    pcm = sound(6, VOICED)
    session = LiveSession(hearing, deadline_ms=None)
    for begin in range(0, len(pcm), RATE_HZ):
        block[:] = pcm[begin : begin + RATE_HZ]
        session.push_audio(block, begin * 1_000_000 // RATE_HZ)
        block[:] = 0
    other = LiveSession(hearing, threaded=False)
    push(other, pcm)
    assert [plain(event) for event in taken(session)] == [plain(event) for event in taken(other)]


def test_too_many_microphones_are_refused(hearing: Bundle) -> None:
    with LiveSession(hearing, threaded=False) as session:
        for i in range(16):
            push(session, sound(0.1, ()), track=f"mic {i}")
        with pytest.raises(InputError, match="at most 16 microphones"):
            push(session, sound(0.1, ()), track="another")
    assert adds_up(session)


def test_a_bundle_that_cannot_tell_a_voice_answers_what_the_host_cuts(reader: Bundle) -> None:
    session = LiveSession(reader, threaded=False)
    push(session, sound(3, VOICED))
    turn_id = session.begin_turn("Ann")
    push(session, sound(2, VOICED), start_us=3_000_000)
    session.push_text("i am happy", 3_100_000, 4_000_000)
    session.end_turn(turn_id)
    (event,) = taken(session)
    assert (event.speaker, event.text) == ("Ann", "i am happy")
    assert event.estimate is not None
