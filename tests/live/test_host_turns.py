"""Turns that the host cuts itself, and what is remembered of all."""

from pathlib import Path

import pytest

from dcet.live import LiveSession
from dcet.runtime import Bundle, Conversation
from dcet.runtime.errors import InputError, UnknownSpeaker
from tests.live.scenes import adds_up, finals, picture, push, sound, taken
from tests.runtime.signals import face

LOUD = sound(2, [(0, 2)])


@pytest.mark.parametrize("threaded", [False, True])
def test_a_turn_of_the_host_is_what_a_conversation_makes_of_it(
    hearing: Bundle, threaded: bool
) -> None:
    session = LiveSession(hearing, threaded=threaded, deadline_ms=None)
    faces = [face(64, seed) for seed in range(3)]
    event = session.turn("Ann", "i am happy", LOUD, faces, at_us=5_000_000)
    estimate = Conversation(hearing).turn("Ann", "i am happy", LOUD, faces)
    assert event.estimate is not None
    assert event.estimate.probabilities == pytest.approx(estimate.probabilities, abs=1e-6)
    assert (event.kind, event.speaker, event.text) == ("final", "Ann", "i am happy")
    assert (event.start_us, event.end_us) == (5_000_000, 7_000_000)
    assert taken(session) == [event]
    assert adds_up(session)


def test_the_host_may_say_where_the_face_is(hearing: Bundle) -> None:
    frames = [picture(1, 2)] * 3
    for box in ([60, 0, 60, 60], [[60, 0, 60, 60]] * 3):
        session = LiveSession(hearing, threaded=False)
        event = session.turn("Ann", "i am", faces=frames, whole_frames=True, face_box=box)
        crop = Conversation(hearing).turn("Ann", "i am", faces=[face(60, 2)] * 3)
        assert event.estimate is not None
        assert event.estimate.probabilities == pytest.approx(crop.probabilities, abs=0.02)


def test_a_turn_of_which_nothing_can_be_used_is_missing(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    event = session.turn("Ann", "")
    assert (event.status, event.estimate) == ("missing", None)
    assert "text: empty" in event.left_out[0]
    with pytest.raises(InputError, match="sample_rate_hz"):
        session.turn("Ann", audio=LOUD, sample_rate_hz=0.5)


def test_a_session_goes_on_where_a_saved_one_was(hearing: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    saved = LiveSession(hearing, threaded=False, speakers={"mic": "Ann"})
    saved.push_text("so fine", 0, 100_000, speaker="Bob")
    push(saved, sound(4, [(1, 2.5)]))  # waits for its words; the memory takes it before it is saved
    saved.save(path)
    assert saved.conversation.turns == 2
    restored = LiveSession.restore(path, hearing, threaded=False, speakers={"mic": "Ann"})
    for session in (saved, restored):
        push(session, sound(2, [(0.5, 1.5)]), start_us=20_000_000)
    estimates = [finals(taken(session))[-1].estimate for session in (saved, restored)]
    assert estimates[0] is not None
    assert estimates[1] is not None
    assert estimates[0].probabilities == estimates[1].probabilities


def test_who_is_new_after_a_restore_gets_nobody_elses_name(hearing: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    with LiveSession(hearing, threaded=False) as session:
        session.turn("voice 1", "i am happy")
        session.save(path)
    restored = LiveSession.restore(path, hearing, threaded=False)
    push(restored, sound(4, [(1, 2.5)]))
    (event,) = finals(taken(restored))
    assert event.speaker not in ("voice 1", "")


def test_forgetting_a_speaker_leaves_no_trace(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False, speakers={"mic": "Ann"})
    push(session, sound(4, [(1, 2.5), (3.2, 4)]))  # one is answered, one goes on
    session.forget("Ann")
    session.push_text("i am happy", 1_000_000, 2_500_000, speaker="Bob")
    events = taken(session)
    assert [event.kind for event in events if event.speaker == "Ann"][-1] == "interim"
    assert session.conversation.speakers == ("Bob",)
    with pytest.raises(UnknownSpeaker):
        session.conversation.trajectory("Ann")
    assert adds_up(session)


def test_a_reset_forgets_everything(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(3, [(1, 3)]))
    session.reset()
    session.close()
    assert session.conversation.turns == 0
    assert adds_up(session)


def test_a_closed_session_takes_nothing(hearing: Bundle) -> None:
    session = LiveSession(hearing)
    session.close()
    session.close()
    with pytest.raises(InputError, match="expected an open session"):
        session.push_audio(LOUD, 0)
