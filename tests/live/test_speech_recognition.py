"""Words from a process of its own, which may end, hang or fail without anybody waiting for it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dcet.live.words import speech_recognition
from dcet.live.words.speech_recognition import MOST_WAITING, SpeechRecogniser
from dcet.live.words.speech_worker import words_of
from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError, MissingExtra

TELL, END, HANG, RAISE, END_ONCE = 0.0, 0.25, 0.5, 0.75, 1.0  # as the fake has them


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_recognition, "WORKER", "tests.live.fake_speech_worker")
    monkeypatch.setattr(speech_recognition, "PATIENCE_S", 1.0)


@pytest.fixture
def recogniser(fake: None, tmp_path: Path) -> Iterator[SpeechRecogniser]:
    with SpeechRecogniser(str(tmp_path), language="en") as made:
        yield made


def sound(what: float, samples: int = 160) -> Floats:
    return np.full(samples, what, np.float32)


class Answers:
    """What was told, and the wait for it."""

    def __init__(self, count: int) -> None:
        self.by_turn: dict[int, str | None] = {}
        self._count = count
        self._all = threading.Event()

    def __call__(self, turn_id: int, text: str | None) -> None:
        self.by_turn[turn_id] = text
        if len(self.by_turn) == self._count:
            self._all.set()

    def wait(self) -> dict[int, str | None]:
        assert self._all.wait(30)
        return self.by_turn


def test_turns_are_answered_in_order_from_another_thread(recogniser: SpeechRecogniser) -> None:
    answers = Answers(3)
    pcm = sound(TELL, 100)
    for turn_id in range(3):
        recogniser.submit(turn_id, pcm[: 50 + turn_id], answers)
    pcm[:] = END  # it was copied
    assert answers.wait() == {0: "50 samples en", 1: "51 samples en", 2: "52 samples en"}
    assert list(answers.by_turn) == [0, 1, 2]
    assert recogniser.notes == []


def test_a_process_that_ends_is_named_and_started_again(
    recogniser: SpeechRecogniser, tmp_path: Path
) -> None:
    assert recogniser.transcribe(sound(END_ONCE)) == "160 samples en", (
        "the turn was not tried again"
    )
    assert (tmp_path / "starts").read_text(encoding="utf-8") == "||"
    (note,) = recogniser.notes
    assert "ended with -9" in note
    assert recogniser.transcribe(sound(TELL)) == "160 samples en"


def test_one_that_ends_twice_in_a_row_is_off(recogniser: SpeechRecogniser, tmp_path: Path) -> None:
    assert recogniser.transcribe(sound(END)) is None
    assert recogniser.transcribe(sound(TELL)) is None
    assert (tmp_path / "starts").read_text(encoding="utf-8") == "||"
    assert "is off" in recogniser.notes[-1]
    answers = Answers(1)
    recogniser.submit(7, sound(TELL), answers)
    assert answers.wait() == {7: None}


def test_one_that_hangs_is_killed(recogniser: SpeechRecogniser) -> None:
    started = time.monotonic()
    assert recogniser.transcribe(sound(HANG)) is None
    assert time.monotonic() - started < 20
    assert "hung for 1 s and was killed" in recogniser.notes[0]


def test_what_it_says_of_an_error_is_named(recogniser: SpeechRecogniser) -> None:
    assert recogniser.transcribe(sound(RAISE)) is None
    assert "it cannot be heard" in recogniser.notes[0]


def test_nobody_waits_for_a_process_that_stands_still(recogniser: SpeechRecogniser) -> None:
    process = recogniser._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    answers = Answers(MOST_WAITING + 4)
    started = time.monotonic()
    for turn_id in range(MOST_WAITING + 4):
        recogniser.submit(turn_id, sound(TELL, 16_000), answers)
    assert time.monotonic() - started < 0.5
    os.kill(process.pid, signal.SIGCONT)
    told = answers.wait()
    refused = [turn_id for turn_id, text in told.items() if text is None]
    assert 3 <= len(refused) <= 4  # the first may have left the queue
    assert len([note for note in recogniser.notes if "others already wait" in note]) == len(refused)


def test_closing_ends_at_once_and_answers_what_waits(fake: None, tmp_path: Path) -> None:
    recogniser = SpeechRecogniser(str(tmp_path))
    answers = Answers(3)
    for turn_id, what in enumerate([HANG, TELL, TELL]):
        recogniser.submit(turn_id, sound(what), answers)
    started = time.monotonic()
    recogniser.close()
    assert time.monotonic() - started < 5
    assert answers.wait() == {0: None, 1: None, 2: None}
    assert recogniser.notes == []
    assert recogniser._process is None


def test_a_model_that_cannot_be_loaded_is_an_error_at_once(fake: None) -> None:
    with pytest.raises(ConfigError, match=r"'nowhere' cannot be loaded \(there is no such model"):
        SpeechRecogniser("nowhere")
    with pytest.raises(MissingExtra, match=r"pip install 'dcet\[asr\]'"):
        SpeechRecogniser("no package")


def test_words_that_are_guessed_are_none() -> None:
    segments = [
        SimpleNamespace(text=text, avg_logprob=logprob, compression_ratio=compression)
        for text, logprob, compression in (
            (" Ask not", -0.3, 0.9),
            ("shages shiggy fives", -1.7, 0.9),
            ("so we can so we can so we can", -0.3, 11.8),
            (" what your country", -0.9, 2.3),
        )
    ]
    assert words_of(segments) == "Ask not what your country"


@pytest.mark.skipif(find_spec("faster_whisper") is not None, reason="the extra asr is installed")
def test_without_the_package_its_extra_is_named() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'dcet\[asr\]'"):
        SpeechRecogniser("tiny.en")


def sound_of(path: Path) -> Floats:
    to_mono = av.AudioResampler("flt", "mono", 16_000)
    with av.open(str(path)) as file:
        parts = [part.to_ndarray()[0] for f in file.decode(audio=0) for part in to_mono.resample(f)]
    return np.concatenate(parts)


@pytest.mark.skipif(find_spec("faster_whisper") is None, reason="needs the extra asr")
def test_a_real_model_hears_the_words(data: Path) -> None:
    folder = os.environ.get("DCET_WHISPER")
    if folder is None:
        pytest.skip("DCET_WHISPER does not say where a Whisper model for CTranslate2 is")
    media = data / "media"
    english, unclear = (
        sound_of(media / name) for name in ("whisper_jfk.flac", "latentsync_demo2.mp4")
    )
    with SpeechRecogniser(folder) as recogniser:
        heard = recogniser.transcribe(english)
        assert heard == recogniser.transcribe(english)
        assert recogniser.transcribe(unclear) == ""  # and no words that are guessed
        assert recogniser.notes == []
    assert heard is not None
    for word in ("fellow", "Americans", "ask", "country"):
        assert word in heard
