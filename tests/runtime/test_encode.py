"""Encoding ahead of a turn, in pieces, and looking at what a turn would give."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dcet.runtime import Bundle, Conversation, Encoded, Estimate, Features
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import EmptyTurn, EngineError, InputError
from dcet.synthetic.probes import speech
from tests.runtime.probe import probed, remembered
from tests.runtime.signals import face
from tests.tiny_bundle import WORDS, write_tiny_bundle

WINDOW = 48_000
Given = dict[str, Any]


def said(seed: int) -> Given:
    """What a turn is given: text, audio of up to 7 s, and up to 10 faces; any may be missing."""
    draw = np.random.default_rng(seed)
    turn: Given = {"text": " ".join(draw.choice(WORDS[4:], 3))} if seed % 3 else {}
    if seed % 2:
        turn["audio"] = speech(float(draw.uniform(0.3, 7)), seed=seed)
    if seed % 5 in (1, 2) or not turn:
        turn["faces"] = [face(seed=seed + i) for i in range(draw.integers(1, 11))]
    return turn


def answer(estimate: Estimate) -> dict[str, Any]:
    """All of an estimate but what it took."""
    return {**estimate.as_dict(), "latency_ms": None}


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that tells voices from other sounds."""
    path = tmp_path_factory.mktemp("bundle") / "hearing.dcet"
    return Bundle.open(write_tiny_bundle(path, senses=("audio", "face", "speech")))


class Log(Engine):
    """An engine that counts what each graph was run on, and fails when it is told to."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.reason = engine.name, engine.reason
        self._engine = engine
        self.runs: list[tuple[str, Mapping[str, NDArray[Any]]]] = []
        self.fails = False

    def run(self, graph: str, inputs: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        self.runs.append((graph, {name: value.copy() for name, value in inputs.items()}))
        if self.fails and graph == "step":
            raise EngineError("as it was told")
        return self._engine.run(graph, inputs)

    def fed(self, graph: str) -> Mapping[str, NDArray[Any]]:
        """What the graph was last given."""
        return next(inputs for name, inputs in reversed(self.runs) if name == graph)


# A turn from what was encoded


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("bank_bytes", [0, 4000])
def test_a_turn_is_the_turn_of_what_was_encoded(
    tiny_openvino: Path, engine: str, bank_bytes: int
) -> None:
    bundle = Bundle.open(tiny_openvino)
    engines = [bundle.engine(engine)] * 2
    at_once, ahead = (
        probed(bundle, each, max_speakers=2, bank_bytes=bank_bytes) for each in engines
    )
    for seed in range(1, 16):
        speaker, turn = "Ann Ben Cem".split()[seed % 3], said(seed)
        encoded = ahead.encode(speaker, **turn)
        assert answer(ahead.turn(speaker, encoded=encoded)) == answer(at_once.turn(speaker, **turn))
    assert remembered(ahead) == remembered(at_once)


def test_encoding_and_answering_take_what_the_turn_took(conversation: Conversation) -> None:
    encoded = conversation.encode("Ann", **said(1))
    before = dict(encoded.latency_ms)
    assert before["step"] == 0
    assert 0 < before["audio"] < before["total"]
    estimate = conversation.turn("Ann", encoded=encoded)
    assert encoded.latency_ms == before
    assert list(estimate.latency_ms) == list(before)
    assert {n: estimate.latency_ms[n] for n in ("text", "audio", "face")} == {
        n: before[n] for n in ("text", "audio", "face")
    }
    stages = sum(list(estimate.latency_ms.values())[:-1])
    assert before["total"] < estimate.latency_ms["total"]
    assert stages < estimate.latency_ms["total"]


def test_features_that_change_afterwards_do_not_change_what_was_encoded(
    bundle: Bundle, conversation: Conversation
) -> None:
    features = np.ones(8, np.float32)
    expected = Conversation(bundle).turn("Ann", Features(features)).probabilities
    encoded = conversation.encode("Ann", Features(features))
    features[:] = 0
    assert conversation.turn("Ann", encoded=encoded).probabilities == expected


# Previews


class Heard:
    """A conversation among many previews, and the same without: they must never differ."""

    def __init__(self, bundle: Bundle, **options: Any) -> None:
        self.log = Log(bundle.engine())
        self.looking = probed(bundle, self.log, **options)
        self.plain = probed(bundle, **options)

    def preview(self, draw: np.random.Generator) -> None:
        speaker, turn = str(draw.choice(list("ABCDE"))), said(int(draw.integers(40)))
        how = draw.integers(4)
        if how == 0:
            turn = {"encoded": self.looking.encode(speaker, **turn)}
        self.log.fails = how == 1
        try:
            if how == 2:
                with pytest.raises(EmptyTurn):
                    self.looking.preview(speaker, "")
            elif how == 1:
                with pytest.raises(EngineError, match="as it was told"):
                    self.looking.preview(speaker, **turn)
            else:
                self.looking.preview(speaker, **turn)
        finally:
            self.log.fails = False

    def turn(self, seed: int) -> None:
        speaker, turn = "ABCDE"[seed % 5], said(seed)
        foretold = self.looking.preview(speaker, **turn)
        expected = answer(self.plain.turn(speaker, **turn))
        assert answer(foretold) == expected
        assert answer(self.looking.turn(speaker, **turn)) == expected


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 4000]), st.integers(1, 4))
def test_previews_change_nothing(
    bundle: Bundle, seed: int, bank_bytes: int, max_speakers: int
) -> None:
    """With a bank and without, where speakers must make room, and where previews fail."""
    draw = np.random.default_rng(seed)
    heard = Heard(bundle, bank_bytes=bank_bytes, max_speakers=max_speakers)
    for _ in range(8):
        for _ in range(draw.integers(6)):
            heard.preview(draw)
        heard.turn(int(draw.integers(40)))
    assert remembered(heard.looking) == remembered(heard.plain)


def test_a_thousand_previews_are_as_good_as_none(bundle: Bundle) -> None:
    draw = np.random.default_rng(0)
    heard = Heard(bundle, bank_bytes=4000, max_speakers=3)
    words = WORDS[4:]
    for seed in range(10):
        heard.turn(seed)
        for _ in range(100):
            heard.looking.preview(str(draw.choice(list("ABCDE"))), str(draw.choice(words)))
    assert remembered(heard.looking) == remembered(heard.plain)


def test_a_preview_names_who_would_make_room(bundle: Bundle) -> None:
    conversation = Conversation(bundle, max_speakers=1)
    conversation.turn("Ann", "happy")
    note = "memory: 'Ann', unheard for longest, was forgotten to make room"
    assert conversation.preview("Ben", "sad").degraded == (note,)
    assert conversation.speakers == ("Ann",)


# In pieces


def test_pieces_are_added_up_and_the_voice_goes_on(bundle: Bundle) -> None:
    """As if the encoder had been run by hand, piece after piece."""
    log = Log(bundle.engine())
    conversation = Conversation(bundle, log)
    conversation.turn("Ann", audio=speech(1))
    pieces = [speech(3, seed=1), speech(1, seed=2), speech(4, seed=3)]
    encoded = conversation.encode("Ann", audio=pieces[0], faces=[face(seed=1)], voiced=True)
    assert encoded.features["audio"].shape == (1, 3)  # exactly one window
    one = encoded
    encoded = conversation.encode("Ann", "so sad", audio=pieces[1], voiced=True, after=encoded)
    encoded = conversation.encode("Ann", "happy", audio=pieces[2], voiced=True, after=encoded)
    encoded = conversation.encode("Ann", faces=[face(seed=2), face(seed=3)], after=encoded)
    assert [*one.features] == ["audio", "face"]
    fed = [inputs for graph, inputs in log.runs if graph == "audio"][1:]
    assert [len(inputs["pcm"]) for inputs in fed] == [1, 2, 2]
    by_hand, state = [], fed[0]["voice"]
    assert state.any()  # of the turn before
    for inputs in fed:
        np.testing.assert_array_equal(inputs["voice"], state)
        outputs = bundle.engine().run("audio", {**inputs, "voice": state})
        by_hand.append(outputs["features"])
        state = outputs["next_voice"]
    np.testing.assert_array_equal(encoded.features["audio"], np.concatenate(by_hand))
    assert len(encoded.features["face"]) == 3
    at_once = conversation.encode("Ann", "happy")
    np.testing.assert_array_equal(encoded.features["text"], at_once.features["text"])
    conversation.turn("Ann", encoded=encoded)
    assert log.fed("step")["audio_mask"].sum() == 5
    conversation.turn("Ann", audio=speech(1))
    np.testing.assert_array_equal(log.fed("audio")["voice"], state)


def test_of_many_pieces_the_last_windows_and_faces_from_all_over_count(bundle: Bundle) -> None:
    log = Log(bundle.engine())
    conversation = Conversation(bundle, log)
    windows, faces, encoded = [], [], None
    for seed in range(11):
        encoded = conversation.encode(
            "Ann", audio=speech(3, seed=seed), faces=[face(seed=seed)], voiced=True, after=encoded
        )
        windows.append(encoded.features["audio"][-1])
        faces.append(conversation.encode("Ann", faces=[face(seed=seed)]).features["face"][0])
    assert encoded is not None
    conversation.turn("Ann", encoded=encoded)
    step = log.fed("step")
    np.testing.assert_array_equal(step["audio"][0], windows[-8:])
    spread = np.linspace(0, 10, 8).round().astype(int)
    np.testing.assert_array_equal(step["face"][0], np.stack(faces)[spread])


def test_fewer_where_the_bundle_takes_fewer(bundle: Bundle) -> None:
    limited = Conversation(bundle.limited({"audio": 2, "face": 1}))
    encoded = None
    for seed in range(3):
        audio, faces = speech(3, seed=seed), [face(seed=seed)]
        encoded = limited.encode("Ann", audio=audio, faces=faces, voiced=True, after=encoded)
    assert encoded is not None
    assert {name: len(array) for name, array in encoded.features.items()} == {"audio": 2, "face": 1}


def test_what_a_piece_lacks_is_named_once_and_takes_nothing_away(
    conversation: Conversation,
) -> None:
    encoded = conversation.encode("Ann", "", audio=speech(1), faces=[face()])
    for _ in range(2):
        encoded = conversation.encode("Ann", audio=np.zeros(WINDOW), faces=[None], after=encoded)  # type: ignore[list-item]
    assert {*encoded.features} == {"audio", "face"}
    silent = ["audio: silent", "face: faces[0]: there is no image"]
    assert encoded.degraded == ["text: empty", *silent]
    encoded = conversation.encode("Ann", "happy", after=encoded)
    assert encoded.degraded == silent
    assert conversation.turn("Ann", encoded=encoded).degraded == tuple(silent)
    encoded = conversation.encode("Ann", "", after=encoded)  # it turned out that nothing was said
    assert "text" not in encoded.features
    assert encoded.degraded == [*silent, "text: empty"]


def test_quality_is_that_of_all_pieces(conversation: Conversation) -> None:
    good, poor = speech(3, seed=1), speech(3, seed=1).clip(-0.02, 0.02) / 0.02
    parts = [conversation.encode("Ann", audio=a, voiced=True) for a in (good, poor)]
    qualities = [part.quality["audio"] for part in parts]
    assert qualities[0] > qualities[1] + 0.2
    both = conversation.encode("Ann", audio=poor, voiced=True, after=parts[0])
    both = conversation.encode("Ann", audio=good, voiced=True, after=both)
    assert both.quality["audio"] == pytest.approx((2 * qualities[0] + qualities[1]) / 3)
    assert both.quality["text"] == 1


def test_a_voice_that_is_known_is_not_looked_for(hearing: Bundle) -> None:
    conversation = Conversation(hearing)
    faint = speech(3) / 1000
    encoded = conversation.encode("Ann", audio=faint)
    assert encoded.features == {}
    with pytest.raises(EmptyTurn, match="no voice was heard"):
        conversation.turn("Ann", encoded=encoded)
    encoded = conversation.encode("Ann", audio=faint, voiced=True)
    assert encoded.features["audio"].shape == (1, 3)
    assert encoded.latency_ms["speech"] == 0


# What is no such thing


@pytest.mark.parametrize(
    ("misuse", "says"),
    [
        (
            lambda talk, made: talk.turn("Ann", "happy", encoded=made),
            r"in the place of text, audio and faces, got text with it; give that to encode\(",
        ),
        (
            lambda talk, made: talk.preview("Ann", faces=[face()], encoded=made),
            "got face with it",
        ),
        (
            lambda talk, made: talk.turn("Ben", encoded=made),
            "expected what was encoded for 'Ben', got what was for 'Ann'",
        ),
        (
            lambda talk, made: talk.encode("Ben", "happy", after=made),
            "after: expected what was encoded for 'Ben'",
        ),
        (
            lambda talk, made: Conversation(talk.bundle).turn("Ann", encoded=made),
            "encoded: expected what this conversation encoded, got what another one did",
        ),
        (lambda talk, made: (talk.reset(), talk.turn("Ann", encoded=made)), "before it was reset"),
        (
            lambda talk, made: (talk.forget("Ann"), talk.preview("Ann", encoded=made)),
            "expected what was encoded since 'Ann' was forgotten",
        ),
        (
            lambda talk, made: (
                talk.forget("Ann"),
                talk.turn("Ann", "happy"),
                talk.turn("Ann", encoded=made),
            ),
            "expected what was encoded since 'Ann' was forgotten",
        ),
        (
            lambda talk, made: talk.turn("Ann", encoded=made.features),
            "expected what Conversation.encode returned, got dict",
        ),
        (lambda talk, made: talk.encode("Ann", audio=speech(1), voiced=1), "voiced: expected True"),
    ],
)
def test_what_was_encoded_is_of_one_speaker_of_one_conversation(
    conversation: Conversation, misuse: Callable[[Conversation, Encoded], Any], says: str
) -> None:
    conversation.turn("Ann", "so sad")
    made = conversation.encode("Ann", "fine")
    with pytest.raises(InputError, match=says):
        misuse(conversation, made)


def test_it_stays_good_while_others_speak_and_says_what_other_turns_cost(
    conversation: Conversation,
) -> None:
    made = conversation.encode("Ann", audio=speech(1))
    conversation.turn("Ben", "happy")
    assert conversation.preview("Ann", encoded=made).degraded == ()
    conversation.turn("Ann", "happy", speech(2))
    note = "audio: what the speaker sounded like in turns since it was encoded is left out"
    assert conversation.preview("Ann", encoded=made).degraded == ()
    assert conversation.turn("Ann", encoded=made).degraded == (note,)


# When


def test_a_trajectory_says_when(conversation: Conversation) -> None:
    conversation.turn("Ann", "happy", at_us=1_500_000)
    conversation.turn("Ann", "sad")
    conversation.turn("Ann", "fine", at_us=2**63 - 1)
    trajectory = conversation.trajectory("Ann")
    assert trajectory.times_us.tolist() == [1_500_000, -1, 2**63 - 1]
    points = trajectory.as_dict()["points"]
    assert [point["time_us"] for point in points] == [1_500_000, None, 2**63 - 1]
    assert points[0]["shift"] is None
    assert points[2]["shift"] == trajectory.shift[2]
    assert [*points[0]["probabilities"].values()] == trajectory.probabilities[0].tolist()


@pytest.mark.parametrize("at_us", [-1, 2**63, 1.5, True, "1"])
def test_a_time_is_in_whole_microseconds(conversation: Conversation, at_us: Any) -> None:
    with pytest.raises(InputError, match="at_us: expected a media time in whole microseconds"):
        conversation.turn("Ann", "happy", at_us=at_us)
    assert conversation.turns == 0
