"""A live session: turns out of streams, and what becomes of their words."""

import asyncio
import threading
from typing import Any

import pytest

from dcet.live import Event, LiveSession
from dcet.runtime import Bundle, Conversation
from dcet.runtime.errors import InputError
from tests.live.scenes import RATE_HZ, adds_up, finals, plain, push, sound, taken

THREE = ((1, 2.5), (4, 5), (6, 10.5))  # turns, in seconds


def test_a_turn_has_interims_and_then_one_final(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(12, THREE))
    events = taken(session)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    for turn_id, (first, end) in enumerate(THREE, start=1):
        turn = [event for event in events if event.turn_id == turn_id]
        assert [event.revision for event in turn] == list(range(len(turn)))
        assert [event.kind for event in turn] == ["interim"] * (len(turn) - 1) + ["final"]
        assert len(turn) - 1 == pytest.approx((end - first) / 0.5, abs=1.1)
        assert turn[-1].start_us == pytest.approx(first * 1e6, abs=130_000)
        assert turn[-1].end_us == pytest.approx(end * 1e6, abs=130_000)
    assert adds_up(session)
    assert session.counters["turns"]["used"] == 3


def test_the_same_pushes_give_the_same_events(hearing: Bundle) -> None:
    def play() -> list[dict[str, Any]]:
        session = LiveSession(hearing, threaded=False)
        push(session, sound(8, THREE))
        session.push_text("i am happy", 4_000_000, 5_000_000)
        return [plain(event) for event in taken(session)]

    assert play() == play()


def test_threads_change_nothing_but_latency(hearing: Bundle) -> None:
    def play(*, threaded: bool) -> list[dict[str, Any]]:
        session = LiveSession(hearing, threaded=threaded, deadline_ms=None)
        push(session, sound(8, THREE))
        return [plain(event) for event in taken(session)]

    assert play(threaded=True) == play(threaded=False)


@pytest.mark.parametrize("block", [160, 320, 4800, 16_000, 10**9])
def test_the_length_of_blocks_changes_nothing(hearing: Bundle, block: int) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(12, THREE), block=block)
    other = LiveSession(hearing, threaded=False)
    push(other, sound(12, THREE), block=512)
    assert [plain(event) for event in taken(session)] == [plain(event) for event in taken(other)]


def test_48_khz_in_any_blocks_gives_the_same_turns(hearing: Bundle) -> None:
    spans = []
    for block in (480, 48_000):
        session = LiveSession(hearing, threaded=False)
        push(session, sound(8, THREE, 48_000), rate_hz=48_000, block=block)
        spans.append([(event.start_us, event.end_us) for event in finals(taken(session))])
    assert spans[0] == spans[1]
    assert len(spans[0]) == 3


def test_words_that_are_there_are_in_the_final_and_in_memory_once(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(2.6, THREE))
    session.push_text("i am happy", 1_000_000, 2_500_000, speaker="Ann")
    push(session, sound(1, ()), start_us=2_600_000)
    (event,) = finals(taken(session))
    assert (event.text, event.speaker, event.speaker_confidence) == ("i am happy", "Ann", 1)
    assert event.estimate is not None
    assert event.estimate.modality_weights["text"] > 0
    assert event.estimate.modality_weights["audio"] > 0
    assert session.conversation.turns == 1


def test_late_words_revise_the_final_and_the_memory_takes_the_turn_with_them(
    hearing: Bundle,
) -> None:
    late = LiveSession(hearing, threaded=False)
    late.push_text("so fine", 0, 100_000)  # words are expected from now on
    push(late, sound(3.5, THREE))
    assert late.conversation.turns == 1  # the turn waits for its words
    late.push_text("i am happy", 1_000_000, 2_500_000)
    assert late.conversation.turns == 2
    final, revised = taken(late)[-2:]
    assert (final.kind, final.text, revised.kind, revised.text) == (
        "final", None, "revised", "i am happy",
    )  # fmt: skip
    early = LiveSession(hearing, threaded=False)
    early.push_text("so fine", 0, 100_000)
    push(early, sound(2.6, THREE))
    early.push_text("i am happy", 1_000_000, 2_500_000)
    push(early, sound(1, ()), start_us=2_600_000)
    estimate = finals(taken(early))[-1].estimate
    assert estimate is not None
    assert revised.estimate is not None
    assert revised.estimate.probabilities == pytest.approx(estimate.probabilities, abs=1e-5)


def test_a_final_is_revised_once(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(4, THREE[:1]))
    session.push_text("i am happy", 1_000_000, 2_500_000)
    session.push_text("so sad", 1_000_000, 2_500_000)
    events = taken(session)
    assert [event.kind for event in events].count("revised") == 1
    assert session.counters["texts"] == {
        "received": 2, "used": 1, "late": 1, "dropped": 0, "waiting": 0,
    }  # fmt: skip


def test_late_words_in_pieces_are_one_revision(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(4, THREE[:1]))
    session.push_text("i am", 1_000_000, 1_500_000)
    session.push_text("so happy", 1_500_000, 2_500_000)
    (revised,) = [event for event in taken(session) if event.kind == "revised"]
    assert revised.text == "i am so happy"


def test_words_without_a_voice_are_a_turn_of_their_own(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(1, ()))
    session.push_text("i am happy", 200_000, 900_000, speaker="Ann")
    push(session, sound(5, ()), start_us=1_000_000)
    event = session.poll()
    assert event is not None
    assert (event.kind, event.speaker, event.text) == ("final", "Ann", "i am happy")
    session.close()
    assert adds_up(session)


def test_interim_words_are_replaced(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(1.5, THREE))
    session.push_text("i am", 1_000_000, 1_400_000, is_final=False)
    push(session, sound(2.6, THREE)[24_000:], start_us=1_500_000)
    session.push_text("i am happy", 1_000_000, 2_500_000)
    push(session, sound(1, ()), start_us=2_600_000)
    events = taken(session)
    assert "i am" in [event.text for event in events if event.kind == "interim"]
    assert finals(events)[0].text == "i am happy"
    assert adds_up(session)


def test_interims_leave_the_memory_alone(hearing: Bundle) -> None:
    """The finals are those of a session that had none."""
    probabilities = []
    for interim_ms in (64, 3_000_000):
        session = LiveSession(hearing, threaded=False, interim_ms=interim_ms)
        push(session, sound(12, THREE))
        probabilities.append(
            [event.estimate and event.estimate.probabilities for event in finals(taken(session))]
        )
    assert probabilities[0] == probabilities[1]


def test_a_turn_of_a_minute_is_split_at_its_quietest(hearing: Bundle) -> None:
    pcm = sound(62, [(1, 61)])
    pcm[14 * RATE_HZ : 14 * RATE_HZ + 1024] = 0
    session = LiveSession(hearing, threaded=False, interim_ms=5000)
    push(session, pcm)
    ends = finals(taken(session))
    assert len(ends) >= 4
    assert ends[0].end_us == pytest.approx(14_030_000, abs=130_000)
    assert all(event.end_us - event.start_us <= 15_300_000 for event in ends)


def test_the_host_says_when_a_turn_begins_and_ends(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    pcm = sound(4, [(1, 1.5), (2.5, 3)])
    push(session, pcm[: RATE_HZ // 2])
    turn_id = session.begin_turn("Ann")
    push(session, pcm[RATE_HZ // 2 :], start_us=500_000)
    session.end_turn(turn_id)
    (event,) = finals(taken(session))
    assert (event.speaker, event.turn_id) == ("Ann", turn_id)
    assert event.start_us == pytest.approx(500_000, abs=40_000)
    assert event.end_us == 4_000_000
    with pytest.raises(InputError, match="turn_id: expected a turn that goes on, got 1"):
        session.end_turn(turn_id)


def test_the_tail_is_not_lost(hearing: Bundle) -> None:
    session = LiveSession(hearing, deadline_ms=None)
    push(session, sound(2, THREE))
    session.flush()
    assert [event.kind for event in session.events(0)][-1] == "final"
    session.close()


def test_two_interleaved_sessions_are_each_as_alone(hearing: Bundle) -> None:
    engine = Conversation(hearing).engine
    pcms = sound(6, THREE), sound(6, [(0.5, 3.2)])

    def play(*chosen: int) -> list[list[dict[str, Any]]]:
        sessions = {i: LiveSession(hearing, engine=engine, threaded=False) for i in chosen}
        for begin in range(0, 6 * RATE_HZ, 1600):
            for i, session in sessions.items():
                push(session, pcms[i][begin : begin + 1600], start_us=begin * 1_000_000 // RATE_HZ)
        return [[plain(event) for event in taken(session)] for session in sessions.values()]

    assert play(0, 1) == [*play(0), *play(1)]


def test_events_can_be_awaited(hearing: Bundle) -> None:
    session = LiveSession(hearing, deadline_ms=None)

    def speak() -> None:
        push(session, sound(3, THREE))
        session.close()

    async def follow() -> list[Event]:
        pusher = threading.Thread(target=speak)
        pusher.start()
        events = [event async for event in session]
        pusher.join()
        return events

    assert [event.kind for event in asyncio.run(follow())][-1] == "final"
