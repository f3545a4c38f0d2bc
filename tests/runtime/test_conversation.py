"""The promises of a conversation about its memory."""

import copy
import itertools
import json
import pickle  # noqa: TID251  it must fail
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcet.runtime import EMOTIONS, Bundle, Conversation, FaceFinder, Features
from dcet.runtime.errors import ConfigError, DcetError, UnknownSpeaker
from dcet.runtime.memory import TRAJECTORY_TURNS
from dcet.synthetic.probes import speech
from tests.runtime.probe import number, probed, remembered, states
from tests.runtime.signals import face
from tests.tiny_bundle import MAX_TOKENS, WORDS, write_tiny_bundle

Turns = list[tuple[str, str]]

turns = st.lists(
    st.tuples(
        st.sampled_from(["Ann", "Ben", "Cem", "Dana"]),
        st.lists(st.sampled_from(WORDS[4:]), min_size=1, max_size=5).map(" ".join),
    ),
    min_size=1,
    max_size=12,
)
few = settings(max_examples=25)


def play(bundle: Bundle, script: Turns, **options: Any) -> Conversation:
    conversation = probed(bundle, **options)
    for speaker, text in script:
        conversation.turn(speaker, text)
    return conversation


def voices(conversation: Conversation, speaker: str) -> list[bytes]:
    """The states of the speaker, without the scene's and the speaker's number."""
    return [state.tobytes() for state in states(conversation, speaker).values()]


def test_an_estimate(conversation: Conversation) -> None:
    first = conversation.turn("Ann", "I am happy!")
    second = conversation.turn("Ann", "so sad")
    assert (first.turn, second.turn, conversation.turns) == (1, 2, 2)
    assert first.shift is None
    assert second.shift is not None
    assert tuple(first.probabilities) == EMOTIONS
    assert sum(first.probabilities.values()) == pytest.approx(1)
    assert first.probabilities[first.emotion] == max(first.probabilities.values())
    assert first.modality_weights == {"text": 1, "audio": 0, "face": 0}
    assert first.degraded == ()
    assert first.quality == {"text": 1, "audio": 1, "face": 1}
    assert first.confidence == pytest.approx(max(first.probabilities.values()))
    assert 0 < first.familiarity.pop("text") < 1
    assert first.familiarity == {"audio": 1, "face": 1}
    stages = ["tokenize", "text", "speech", "audio", "find", "face", "step", "total"]
    assert list(first.latency_ms) == stages
    assert 0 < sum(list(first.latency_ms.values())[:-1]) < first.latency_ms["total"]
    assert json.loads(json.dumps(first.as_dict()))["engine"] == "onnxruntime-cpu"


def test_an_estimate_abstains_below_the_confidence_asked_for(bundle: Bundle) -> None:
    confidence = Conversation(bundle).turn("Ann", "I am happy!").confidence
    assert confidence is not None
    for below, abstains in ((0, False), (confidence, False), (confidence + 1e-3, True), (1, True)):
        estimate = Conversation(bundle, abstain_below=below).turn("Ann", "I am happy!")
        assert estimate.confidence == confidence
        assert estimate.emotion == max(EMOTIONS, key=estimate.probabilities.__getitem__)
        if abstains:
            shown = f"{confidence - 0.005:.2f}"  # rounded down, so that it is below
            assert estimate.abstains == f"confidence {shown} is below {below:g}"
        else:
            assert estimate.abstains is None


@pytest.mark.parametrize("below", [-0.1, 1.1, float("nan"), True, "0.4", None, 0.4j])
def test_a_confidence_to_abstain_below_is_a_probability(bundle: Bundle, below: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"abstain_below: expected a confidence from 0 \(never\) to 1"
    ):
        Conversation(bundle, abstain_below=below)


def test_an_older_bundle_is_not_sure_of_anything(tmp_path: Path) -> None:
    """It has neither confidence nor familiarity, and never abstains."""
    lacking = ("confidence", "familiarity")
    bundle = Bundle.open(write_tiny_bundle(tmp_path / "older.dcet", lacking=lacking))
    conversation = Conversation(bundle, abstain_below=1)
    for text in ("I am happy!", "so sad"):
        estimate = conversation.turn("Ann", text)
        assert (estimate.confidence, estimate.abstains) == (None, None)
        assert estimate.familiarity == {"text": 1, "audio": 1, "face": 1}


@few
@given(turns, turns, st.randoms(use_true_random=False))
def test_conversations_never_share_state(
    bundle: Bundle, one: Turns, other: Turns, rng: Any
) -> None:
    """Two conversations played turn and turn about end as they do one after the other."""
    first, second = probed(bundle), probed(bundle)
    order = [(first, turn) for turn in one] + [(second, turn) for turn in other]
    rng.shuffle(order)
    heard: dict[Conversation, Turns] = {first: [], second: []}
    for conversation, (speaker, text) in order:
        conversation.turn(speaker, text)
        heard[conversation].append((speaker, text))
    for conversation, script in heard.items():
        assert remembered(conversation) == remembered(play(bundle, script))


@few
@given(turns)
def test_swapping_two_names_swaps_their_states(bundle: Bundle, script: Turns) -> None:
    swap = {"Ann": "Ben", "Ben": "Ann"}
    before = play(bundle, script)
    after = play(bundle, [(swap.get(name, name), text) for name, text in script])
    assert after.speakers == tuple(swap.get(name, name) for name in before.speakers)
    for name in before.speakers:
        assert voices(before, name) == voices(after, swap.get(name, name))
        assert number(before, name) == number(after, swap.get(name, name))


@few
@given(turns, turns)
def test_reset_begins_anew(bundle: Bundle, script: Turns, following: Turns) -> None:
    conversation = play(bundle, script)
    conversation.reset()
    assert (conversation.turns, conversation.speakers) == (0, ())
    assert remembered(conversation) == remembered(probed(bundle))
    for speaker, text in following:
        conversation.turn(speaker, text)
    assert remembered(conversation) == remembered(play(bundle, following))


@few
@given(turns)
def test_later_turns_never_change_earlier_estimates(bundle: Bundle, script: Turns) -> None:
    whole = play(bundle, script)
    trajectory = whole.trajectory(script[0][0])
    for turn, probabilities in zip(trajectory.turns, trajectory.probabilities, strict=True):
        until = play(bundle, script[:turn]).trajectory(script[0][0])
        assert np.array_equal(until.probabilities[-1], probabilities)


def test_the_memory_matters(bundle: Bundle) -> None:
    remembered = play(bundle, [("Ann", "i am angry")] * 3).turn("Ann", "fine")
    fresh = Conversation(bundle).turn("Ann", "fine")
    assert remembered.probabilities != fresh.probabilities


# Forgetting


def test_forgetting_leaves_no_trace(bundle: Bundle) -> None:
    """Nothing that only Ann said is left; Ben's own memory is as it was."""
    conversation = play(bundle, [("Ben", "you are fine"), ("Ann", "i am angry"), ("Ben", "!")])
    ben = voices(conversation, "Ben")
    assert any(map(any, voices(conversation, "Ann")))
    assert any(array.any() for array in states(conversation, "Ben", "scene").values())
    conversation.forget("Ann")
    assert not any(map(any, voices(conversation, "Ann")))
    assert not any(array.any() for array in states(conversation, "Ben", "scene").values())
    assert voices(conversation, "Ben") == ben
    assert conversation.speakers == ("Ben",)
    with pytest.raises(UnknownSpeaker):
        conversation.trajectory("Ann")


def test_who_comes_back_is_a_new_speaker(bundle: Bundle) -> None:
    """Numbers are never given twice, so that no new speaker is taken for a forgotten one."""
    conversation = play(bundle, [("Ann", "i am angry")])
    first = number(conversation, "Ann")
    conversation.forget("Ann")
    assert conversation.turn("Ann", "i am angry").shift is None
    assert number(conversation, "Ann") > first


def test_an_unknown_name_is_not_forgotten_in_silence(conversation: Conversation) -> None:
    conversation.turn("Annabel", "i am angry")
    with pytest.raises(UnknownSpeaker, match="such as 'Annabel', got 'Anabel'"):
        conversation.forget("Anabel")
    with pytest.raises(UnknownSpeaker, match="'Anabel'"):
        conversation.trajectory("Anabel")


# Room


def test_who_was_unheard_for_longest_makes_room(bundle: Bundle) -> None:
    script = [("Ann", "happy"), ("Ben", "sad"), ("Ann", "fine"), ("Cem", "so")]
    conversation = play(bundle, script, max_speakers=2)
    assert conversation.speakers == ("Ann", "Cem")
    assert conversation.turn("Ben", "sad").shift is None  # knows nothing of the time before
    assert conversation.speakers == ("Cem", "Ben")


def test_the_turn_that_evicts_a_speaker_names_them(bundle: Bundle) -> None:
    """Nothing but the name, in the one estimate; control characters of a name are escaped."""
    conversation = Conversation(bundle, max_speakers=1)
    assert conversation.turn("An\x1bn", "i am angry").degraded == ()
    note = r"memory: 'An\x1bn', unheard for longest, was forgotten to make room"
    assert conversation.turn("Ben", "happy").degraded == (note,)
    assert conversation.turn("Ben", "happy").degraded == ()
    conversation.forget("Ben")
    assert conversation.turn("Cem", "happy").degraded == ()


def test_an_evicted_speaker_can_be_forgotten(bundle: Bundle) -> None:
    """The scene may still hold what they said, though their name is known no more."""
    conversation = play(bundle, [("Ann", "happy"), ("Ben", "sad")], max_speakers=1)
    conversation.forget("Ann")
    assert not any(array.any() for array in states(conversation, "Ben", "scene").values())
    assert conversation.speakers == ("Ben",)


def test_many_speakers_in_few_slots(bundle: Bundle) -> None:
    conversation = Conversation(bundle, max_speakers=4)
    for turn in range(100):
        conversation.turn(f"speaker {turn}", "happy")
    assert conversation.speakers == tuple(f"speaker {turn}" for turn in range(96, 100))


@pytest.mark.parametrize("max_speakers", [0, -1, 1.5, 10**9, True, "8", None, float("nan"), 2.0])
def test_room_for_so_many_is_no_setting(bundle: Bundle, max_speakers: Any) -> None:
    with pytest.raises(ConfigError, match="max_speakers: expected a whole number from 1 to 4096"):
        Conversation(bundle, max_speakers=max_speakers)


def test_numpy_counts_speakers_too(bundle: Bundle) -> None:
    options: dict[str, Any] = {"max_speakers": np.int64(2)}
    assert Conversation(bundle, **options).turn("Ann", "happy").turn == 1


def test_a_path_is_no_bundle(tiny: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected a Bundle, got .*Path; open one with Bundle"):
        Conversation(tiny)


@pytest.mark.slow
def test_nothing_grows_with_turns(bundle: Bundle) -> None:
    conversation = Conversation(bundle, max_speakers=8)

    def talk(count: int) -> None:
        for turn in range(count):
            conversation.turn(f"speaker {turn % 12}", WORDS[4 + turn % 10])

    talk(300)
    tracemalloc.start()
    try:
        talk(100)
        before, _ = tracemalloc.get_traced_memory()
        talk(2000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4096


def test_a_trajectory_keeps_the_last_turns(bundle: Bundle) -> None:
    conversation = Conversation(bundle)
    conversation.turn("Ben", "sad")
    estimates = [
        conversation.turn("Ann", WORDS[4 + turn % 10]) for turn in range(TRAJECTORY_TURNS + 5)
    ]
    trajectory = conversation.trajectory("Ann")
    kept = estimates[-TRAJECTORY_TURNS:]
    assert trajectory.turns.tolist() == [estimate.turn for estimate in kept]
    np.testing.assert_array_equal(
        trajectory.probabilities,
        np.array([list(e.probabilities.values()) for e in kept], np.float32),
    )
    assert trajectory.sentiment.tolist() == [estimate.sentiment for estimate in kept]
    assert trajectory.shift.tolist() == [estimate.shift for estimate in kept]
    assert np.isnan(conversation.trajectory("Ben").shift).tolist() == [True]


def test_a_trajectory_is_a_copy(conversation: Conversation) -> None:
    conversation.turn("Ann", "happy")
    trajectory = conversation.trajectory("Ann")
    conversation.forget("Ann")
    assert trajectory.probabilities.sum() == pytest.approx(1)


# Names


def test_a_name_is_one_speaker_however_its_accents_are_encoded(bundle: Bundle) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))
    assert composed != decomposed
    conversation = Conversation(bundle)
    assert conversation.turn(composed, "i am happy").shift is None
    estimate = conversation.turn(decomposed, "so sad")
    assert estimate.shift is not None
    assert estimate.speaker == composed
    assert conversation.speakers == (composed,)
    assert conversation.trajectory(decomposed).turns.tolist() == [1, 2]
    conversation.forget(decomposed)
    assert len(conversation.speakers) == 0


@pytest.mark.parametrize("ask", [Conversation.forget, Conversation.trajectory])
def test_a_number_is_no_name(conversation: Conversation, ask: Callable[..., Any]) -> None:
    with pytest.raises(DcetError, match="speaker: expected a str, got int; give it as text"):
        ask(conversation, 0)


# Whole or not at all


class Interrupt:
    """Raises KeyboardInterrupt at one of the lines that DCET's own code runs, the `at`-th."""

    def __init__(self, at: int) -> None:
        self.at, self.lines = at, 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> "Interrupt | None":
        if "/dcet/runtime/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self

    def during(self, what: Callable[[], Any]) -> None:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            what()
        finally:
            sys.settrace(before)


@pytest.mark.slow
@pytest.mark.parametrize("bank_bytes", [0, 2000])
def test_an_interrupted_turn_is_never_kept(bundle: Bundle, bank_bytes: int) -> None:
    """Wherever the interrupt comes, in a turn that also evicts a speaker."""
    script = [("Ann", "happy"), ("Ben", "sad"), *[("Ann", "!")] * 3]
    conversation, undisturbed = (
        play(bundle, script, max_speakers=2, bank_bytes=bank_bytes) for _ in range(2)
    )
    before = remembered(conversation)
    for line in itertools.count(1):
        try:
            Interrupt(line).during(lambda: conversation.turn("Cem", "fine", speech(1), [face(20)]))
        except KeyboardInterrupt:
            assert (conversation.turns, conversation.speakers) == (5, ("Ben", "Ann")), line
            if line % 20 == 0:
                assert remembered(conversation) == before, line
        else:
            break  # the turn has fewer lines
    assert line > 100
    undisturbed.turn("Cem", "fine", speech(1), [face(20)])
    assert remembered(conversation) == remembered(undisturbed)


@pytest.fixture
def face_finder() -> FaceFinder:
    return FaceFinder()


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("what", ["bundle", "conversation", "face_finder"])
def test_what_holds_a_memory_or_an_engine_is_not_copied(
    request: pytest.FixtureRequest, what: str, how: Callable[[Any], Any]
) -> None:
    with pytest.raises(DcetError, match="can be neither copied nor pickled") as raised:
        how(request.getfixturevalue(what))
    assert isinstance(raised.value, TypeError)


# Modalities


def test_features_are_what_an_encoder_gives(bundle: Bundle, conversation: Conversation) -> None:
    """Text as features of its own encoding is text."""
    ids = np.array([bundle.tokenizer.encode("i am happy").ids], np.int32)
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    features = bundle.engine().run("text", inputs)["features"][0]
    by_text = Conversation(bundle).turn("Ann", "i am happy")
    by_features = conversation.turn("Ann", Features(features))
    assert by_features.probabilities == by_text.probabilities
    assert by_features.latency_ms["text"] == 0


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_features_may_be_a_view(bundle: Bundle, engine: str) -> None:
    pytest.importorskip(engine)
    wide = np.arange(16, dtype=np.float32)
    view = Conversation(bundle, engine).turn("Ann", Features(wide[::2]))
    copy = Conversation(bundle, engine).turn("Ann", Features(wide[::2].copy()))
    assert view.probabilities == copy.probabilities


@pytest.mark.parametrize("length", [1, 2])
def test_audio_features(bundle: Bundle, length: int) -> None:
    audio = np.ones((length, 3), np.float32)
    heard = Conversation(bundle).turn("Ann", "i am happy", Features(audio))
    alone = Conversation(bundle).turn("Ann", audio=Features(audio))
    assert heard.modality_weights == {"text": 0.5, "audio": 0.5, "face": 0}
    assert alone.modality_weights == {"text": 0, "audio": 1, "face": 0}
    assert heard.probabilities != alone.probabilities
    assert heard.degraded == ()


def test_what_cannot_be_used_is_left_out_and_named(reader: Bundle) -> None:
    text = "i am happy"
    estimate = Conversation(reader).turn(
        "Ann",
        text,
        audio=np.zeros(16_000, np.int16),
        faces=Features(np.ones((1, 4), np.float32)),
    )
    assert estimate.degraded == (
        "audio: this bundle has no encoder for it",
        "face: this model was not trained on it",
    )
    assert estimate.probabilities == Conversation(reader).turn("Ann", text).probabilities


@pytest.mark.parametrize(
    ("options", "degraded"),
    [
        ({"audio": np.zeros(0, np.float32)}, "audio: empty"),
        ({"audio": Features(np.zeros((0, 3), np.float32))}, "audio: empty"),
        ({"faces": []}, "face: empty"),
    ],
)
def test_an_empty_modality_is_as_good_as_none(
    conversation: Conversation, options: dict[str, Any], degraded: str
) -> None:
    assert conversation.turn("Ann", "happy", **options).degraded == (degraded,)


def test_long_text_is_cut_and_says_so(bundle: Bundle) -> None:
    """[CLS] and [SEP] stay, so what is cut equals what fits."""
    long = Conversation(bundle).turn("Ann", "happy " * 100)
    fits = Conversation(bundle).turn("Ann", "happy " * (MAX_TOKENS - 2))
    assert long.degraded == (f"text: cut to {MAX_TOKENS} tokens",)
    assert fits.degraded == ()
    assert long.probabilities == fits.probabilities


def test_text_is_normalised(bundle: Bundle) -> None:
    one = Conversation(bundle).turn("Ann", "  i\tam \n happy ")
    assert one.probabilities == Conversation(bundle).turn("Ann", "i am happy").probabilities
