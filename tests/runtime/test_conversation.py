"""What a conversation promises about its memory."""

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcet.runtime import EMOTIONS, Bundle, Conversation, Features
from dcet.runtime.errors import ConfigError, UnknownSpeaker
from dcet.runtime.memory import TRAJECTORY_TURNS
from tests.tiny_bundle import MAX_TOKENS, WORDS

Turns = list[tuple[str, str]]

turns = st.lists(
    st.tuples(
        st.sampled_from(["Ann", "Ben", "Cem", "Dana"]),
        st.lists(st.sampled_from(WORDS[4:]), min_size=1, max_size=5).map(" ".join),
    ),
    min_size=1,
    max_size=12,
)
few = settings(max_examples=25, deadline=None)


def play(bundle: Bundle, script: Turns, **options: Any) -> Conversation:
    conversation = Conversation(bundle, **options)
    for speaker, text in script:
        conversation.turn(speaker, text)
    return conversation


def states(conversation: Conversation, speaker: str) -> list[bytes]:
    """The states of the speaker, without the scene's and the speaker's number."""
    recalled = conversation._arena.recall(speaker).states
    return [
        recalled[pair.graph][pair.input].tobytes()
        for pair in conversation.bundle.manifest.state
        if pair.per == "speaker"
    ]


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
    stages = ["tokenize", "text", "audio", "find", "face", "step", "total"]
    assert list(first.latency_ms) == stages
    assert 0 < sum(list(first.latency_ms.values())[:-1]) < first.latency_ms["total"]
    assert json.loads(json.dumps(first.as_dict()))["engine"] == "onnxruntime-cpu"


@few
@given(turns, turns, st.randoms(use_true_random=False))
def test_conversations_never_share_state(
    bundle: Bundle, one: Turns, other: Turns, rng: Any
) -> None:
    """Two conversations played turn and turn about end as they do one after the other."""
    first, second = Conversation(bundle), Conversation(bundle)
    order = [(first, turn) for turn in one] + [(second, turn) for turn in other]
    rng.shuffle(order)
    heard: dict[Conversation, Turns] = {first: [], second: []}
    for conversation, (speaker, text) in order:
        conversation.turn(speaker, text)
        heard[conversation].append((speaker, text))
    for conversation, script in heard.items():
        alone = play(bundle, script)
        assert conversation._arena.block.tobytes() == alone._arena.block.tobytes()
        assert conversation.speakers == alone.speakers


@few
@given(turns)
def test_swapping_two_names_swaps_their_states(bundle: Bundle, script: Turns) -> None:
    swap = {"Ann": "Ben", "Ben": "Ann"}
    before = play(bundle, script)
    after = play(bundle, [(swap.get(name, name), text) for name, text in script])
    assert before._arena.block.tobytes() == after._arena.block.tobytes()
    for name in before.speakers:
        assert states(before, name) == states(after, swap.get(name, name))


@few
@given(turns, turns)
def test_reset_begins_anew(bundle: Bundle, script: Turns, following: Turns) -> None:
    conversation = play(bundle, script)
    conversation.reset()
    assert not any(conversation._arena.block.tobytes())
    assert (conversation.turns, conversation.speakers) == (0, ())
    for speaker, text in following:
        conversation.turn(speaker, text)
    fresh = play(bundle, following)
    assert conversation._arena.block.tobytes() == fresh._arena.block.tobytes()


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


def test_forgetting_leaves_no_byte(bundle: Bundle) -> None:
    """What only Ann said is nowhere afterwards; Ben's own memory is as it was."""
    conversation = play(bundle, [("Ben", "you are fine"), ("Ann", "i am angry"), ("Ben", "!")])
    arena = conversation._arena
    ben = states(conversation, "Ben")
    recalled = arena.recall("Ann").states
    anns = [array[array != 0] for graph in recalled.values() for array in graph.values()]
    anns += [conversation.trajectory("Ann").probabilities]
    values = {value.tobytes() for array in anns for value in array.ravel()}
    values -= {np.float32(1).tobytes()}  # a ring's mask, which is everybody's
    assert len(values) > 30
    conversation.forget("Ann")

    of_ben = {value.tobytes() for value in np.frombuffer(b"".join(ben), np.float32)}
    block = arena.block.tobytes()
    left = {block[i : i + 4] for i in range(0, len(block), 4)}
    assert left & values <= of_ben
    assert not any(arena.block["scene"].tobytes())
    assert states(conversation, "Ben") == ben
    assert "Ann" not in repr(vars(arena))
    with pytest.raises(UnknownSpeaker):
        conversation.trajectory("Ann")


def test_forgetting_the_only_speaker_leaves_zeros(conversation: Conversation) -> None:
    conversation.turn("Ann", "i am angry")
    conversation.forget("Ann")
    assert not any(conversation._arena.block.tobytes())


def test_who_comes_back_is_somebody_new(conversation: Conversation) -> None:
    """Numbers are never given twice, so that nobody is taken for the one who was forgotten."""
    conversation.turn("Ann", "i am angry")
    first = conversation._arena.recall("Ann").number
    conversation.forget("Ann")
    assert conversation.turn("Ann", "i am angry").shift is None
    assert conversation._arena.recall("Ann").number > first


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


def test_an_evicted_speaker_can_be_forgotten(bundle: Bundle) -> None:
    """The scene may still hold what they said, and nobody knows their names any more."""
    conversation = play(bundle, [("Ann", "happy"), ("Ben", "sad")], max_speakers=1)
    conversation.forget("Ann")
    assert not any(conversation._arena.block["scene"].tobytes())
    assert conversation.speakers == ("Ben",)


def test_many_speakers_in_few_slots(bundle: Bundle) -> None:
    conversation = Conversation(bundle, max_speakers=4)
    for turn in range(100):
        conversation.turn(f"speaker {turn}", "happy")
    assert conversation.speakers == tuple(f"speaker {turn}" for turn in range(96, 100))


@pytest.mark.parametrize("max_speakers", [0, -1])
def test_room_for_nobody(bundle: Bundle, max_speakers: int) -> None:
    with pytest.raises(ConfigError, match="max_speakers: expected 1 or more"):
        Conversation(bundle, max_speakers=max_speakers)


def test_nothing_grows_with_turns(bundle: Bundle) -> None:
    conversation = Conversation(bundle, max_speakers=8)

    def talk(count: int) -> None:
        for turn in range(count):
            conversation.turn(f"speaker {turn % 12}", WORDS[4 + turn % 10])

    talk(300)
    address = conversation._arena.block.ctypes.data
    tracemalloc.start()
    try:
        talk(100)
        before, _ = tracemalloc.get_traced_memory()
        talk(2000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4096
    assert conversation._arena.block.ctypes.data == address


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
