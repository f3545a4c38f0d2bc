"""Words from a speech recogniser: in their own time, never in the way."""

import threading
from collections.abc import Callable

import pytest

from dcet.live import LiveSession
from dcet.runtime import Bundle
from dcet.runtime.arrays import Floats
from tests.live.scenes import RATE_HZ, adds_up, finals, push, sound, taken


class Recogniser:
    """Hears the same words in everything, or none."""

    def __init__(self, words: str | None = "i am happy") -> None:
        self.words = words
        self.heard: list[int] = []
        self.waiting: list[Callable[[], None]] = []

    def submit(self, turn_id: int, pcm: Floats, done: Callable[[int, str | None], None]) -> None:
        self.heard.append(len(pcm))
        self.waiting.append(lambda: done(turn_id, self.words))

    def transcribe(self, pcm: Floats) -> str | None:
        self.heard.append(len(pcm))
        return self.words


def test_a_turn_without_words_is_revised_with_those_that_are_recognised(hearing: Bundle) -> None:
    asr = Recogniser()
    session = LiveSession(hearing, threaded=False, asr=asr)
    push(session, sound(4, [(1, 2.5)]))
    assert session.conversation.turns == 1  # the memory took it once, with its words
    *_, final, revised = taken(session)
    assert (final.kind, final.text) == ("final", None)
    assert (revised.kind, revised.text, revised.turn_id) == ("revised", "i am happy", 1)
    assert asr.heard[0] == pytest.approx(1.9 * RATE_HZ, abs=1600)
    assert adds_up(session)


def test_words_that_the_host_has_are_not_recognised_again(hearing: Bundle) -> None:
    asr = Recogniser()
    session = LiveSession(hearing, threaded=False, asr=asr)
    push(session, sound(2.6, [(1, 2.5)]))
    session.push_text("so sad", 1_000_000, 2_500_000)
    push(session, sound(1, ()), start_us=2_600_000)
    assert taken(session)[-1].text == "so sad"
    assert asr.heard == []


@pytest.mark.parametrize("words", [None, ""])
def test_a_recogniser_that_hears_nothing_leaves_the_final(
    hearing: Bundle, words: str | None
) -> None:
    session = LiveSession(hearing, threaded=False, asr=Recogniser(words))
    push(session, sound(4, [(1, 2.5)]))
    assert taken(session)[-1].kind == "final"
    assert session.counters["texts"]["dropped"] == 1
    assert session.conversation.turns == 1
    assert adds_up(session)


def test_a_recogniser_that_takes_long_is_waited_for_by_nobody(hearing: Bundle) -> None:
    asr = Recogniser()
    session = LiveSession(hearing, deadline_ms=None, asr=asr)
    push(session, sound(4, [(1, 2.5)]))
    session.flush()
    assert [event.kind for event in session.events(0)][-1] == "final"
    teller = threading.Thread(target=asr.waiting[0])
    teller.start()
    revised = next(session.events(60))
    teller.join()
    assert (revised.kind, revised.text) == ("revised", "i am happy")
    session.close()
    assert session.conversation.turns == 1
    assert adds_up(session)


def test_words_of_a_long_turn_wait_for_its_end(hearing: Bundle) -> None:
    """Captions that end long before the speaker does are words of this turn, not turns."""
    session = LiveSession(hearing, threaded=False)
    pcm = sound(9, [(1, 8)])
    push(session, pcm[: 3 * RATE_HZ])
    session.push_text("so sad", 1_000_000, 2_500_000)
    session.push_text("i am happy", 3_000_000, 4_000_000)
    push(session, pcm[3 * RATE_HZ :], start_us=3_000_000)
    (final,) = finals(taken(session))
    assert final.text == "so sad i am happy"
    assert session.conversation.turns == 1
    assert adds_up(session)


def test_words_without_a_voice_are_of_the_one_person_on_the_only_microphone(
    hearing: Bundle,
) -> None:
    session = LiveSession(hearing, threaded=False, speakers={"mic": "Ann"})
    push(session, sound(1, ()))
    session.push_text("so sad", 100_000, 900_000)
    push(session, sound(3, ()), start_us=1_000_000)
    (final,) = finals(taken(session))
    assert (final.speaker, final.text) == ("Ann", "so sad")
    session = LiveSession(hearing, threaded=False, speakers={"mic": "Ann"})
    push(session, sound(1, ()))
    push(session, sound(1, ()), track="other")  # anybody's
    session.push_text("so sad", 100_000, 900_000)
    push(session, sound(3, ()), start_us=1_000_000)
    (final,) = finals(taken(session))
    assert final.speaker != "Ann"
