"""A bad turn has its own error, and the conversation goes on with its memory as it was."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from dcet.runtime import Bundle, Conversation, Features
from dcet.runtime.errors import (
    EmptyTurn,
    EngineError,
    InputError,
    NotFinite,
    TextTooLong,
    WrongDtype,
    WrongSampleRate,
    WrongShape,
)

AUDIO = np.zeros(100, np.float32)
DOUBLE: Any = np.zeros(8)
FACE = np.zeros((8, 8, 3), np.uint8)


def remembered(conversation: Conversation) -> tuple[bytes, tuple[str, ...], int]:
    """Everything a conversation remembers."""
    return conversation._arena.block.tobytes(), conversation.speakers, conversation.turns


def with_nan(shape: tuple[int, ...], value: float = np.nan) -> Any:
    array = np.zeros(shape, np.float32)
    array[(-1,) * len(shape)] = value
    return array


BAD: dict[str, tuple[dict[str, Any], type[InputError], str]] = {
    "nothing": ({}, EmptyTurn, "got none of them"),
    "blank text": ({"text": " \t\n"}, EmptyTurn, "text: empty"),
    "only what cannot be used": ({"audio": AUDIO}, EmptyTurn, "audio: this bundle has no encoder"),
    "only what was not trained": (
        {"faces": Features(np.zeros((1, 4), np.float32))},
        EmptyTurn,
        "face: this model was not trained on it",
    ),
    "10,000 words": (
        {"text": "happy " * 10_000},
        TextTooLong,
        "at most 8192 characters, got 60000",
    ),
    "long name": ({"speaker": "x" * 257, "text": "fine"}, TextTooLong, "at most 256 characters"),
    "bytes": ({"text": b"fine"}, WrongDtype, "text: expected a str, got bytes"),
    "half a surrogate pair": ({"text": "fine \ud83d"}, WrongDtype, "half of a surrogate pair"),
    "numbered speaker": ({"speaker": 7, "text": "fine"}, WrongDtype, "speaker: expected a str"),
    "NaN in audio": ({"audio": with_nan((100,))}, NotFinite, r"audio: .* got nan at \[99\]"),
    "infinite audio": ({"audio": with_nan((9,), np.inf)}, NotFinite, r"got inf at \[8\]"),
    "NaN in features": (
        {"audio": Features(with_nan((2, 3)))},
        NotFinite,
        r"audio: expected finite numbers, got nan at \[1, 2\]",
    ),
    "NaN in text features": ({"text": Features(with_nan((8,)))}, NotFinite, "text: "),
    "float64 audio": (
        {"audio": np.zeros(9)},
        WrongDtype,
        "audio: expected a NumPy array of float32 or int16, got float64",
    ),
    "a list for audio": ({"audio": [0.0, 0.1]}, WrongDtype, "audio: .* got list"),
    "float faces": ({"faces": [FACE / 255.0]}, WrongDtype, r"faces\[0\]: .* uint8, got float64"),
    "big-endian features": (
        {"text": Features(np.zeros(8, ">f4"))},
        WrongDtype,
        "text: expected a NumPy array of float32, got >f4",
    ),
    "a number for faces": ({"faces": 3}, WrongDtype, "faces: .* got int; put it in a list"),
    "one face without a list": ({"faces": FACE}, WrongShape, r"faces\[0\]: .* got \(8, 3\)"),
    "float64 features": ({"text": Features(DOUBLE)}, WrongDtype, "text: .* got float64"),
    "44.1 kHz": (
        {"audio": AUDIO, "sample_rate_hz": 44_100},
        WrongSampleRate,
        "expected 16000 Hz, got 44100 Hz; resample",
    ),
    "stereo": ({"audio": np.zeros((100, 2), np.int16)}, WrongShape, r"audio: .* got \(100, 2\)"),
    "grey faces": ({"faces": [FACE, FACE[..., 0]]}, WrongShape, r"faces\[1\]: .* got \(8, 8\)"),
    "RGBA faces": ({"faces": [np.zeros((8, 8, 4), np.uint8)]}, WrongShape, r"got \(8, 8, 4\)"),
    "a face of no size": ({"faces": [FACE[:0]]}, WrongShape, r"got \(0, 8, 3\)"),
    "narrow text features": (
        {"text": Features(np.zeros(7, np.float32))},
        WrongShape,
        r"text: expected features of shape \(8,\), got \(7,\)",
    ),
    "too many audio features": (
        {"audio": Features(np.zeros((3, 3), np.float32))},
        WrongShape,
        r"audio: expected features of shape \(n, 3\) with n from 0 to 2, got \(3, 3\)",
    ),
    "flat audio features": ({"audio": Features(np.zeros(3, np.float32))}, WrongShape, r"\(3,\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_turn(bundle: Bundle, name: str) -> None:
    given, error, message = BAD[name]
    conversation = Conversation(bundle, max_speakers=2)
    for speaker in ("Ann", "Ben"):
        conversation.turn(speaker, "i am happy")
    before = remembered(conversation)
    # Somebody new would take a slot, and somebody else would lose theirs.
    with pytest.raises(error, match=message):
        conversation.turn(**{"speaker": "Cem", **given})
    assert remembered(conversation) == before

    undisturbed = Conversation(bundle, max_speakers=2)
    for speaker in ("Ann", "Ben"):
        undisturbed.turn(speaker, "i am happy")
    after, expected = conversation.turn("Ann", "fine"), undisturbed.turn("Ann", "fine")
    assert after.probabilities == expected.probabilities
    assert after.turn == 3


def test_one_bad_modality_spoils_the_turn(conversation: Conversation) -> None:
    """NaN is a fault to be told about, other than a modality that is absent."""
    with pytest.raises(NotFinite):
        conversation.turn("Ann", "i am happy", audio=with_nan((100,)))
    assert conversation.turns == 0


@pytest.mark.parametrize("bad_output", ["probabilities", "next_scene_memory"])
def test_an_engine_that_gives_nan(
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    bad_output: str,
) -> None:
    """It must not reach the memory, where it would stay."""
    conversation = Conversation(bundle)
    conversation.turn("Ann", "i am happy")
    before = remembered(conversation)
    engine = bundle.engine()
    run = engine.run

    def run_badly(graph: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        outputs = dict(run(graph, inputs))
        if graph == "step":
            outputs[bad_output] = np.full_like(outputs[bad_output], np.nan)
        return outputs

    monkeypatch.setattr(engine, "run", run_badly)
    with pytest.raises(EngineError, match="expected finite estimates, got NaN"):
        conversation.turn("Ann", "fine")
    assert remembered(conversation) == before


def test_an_engine_that_fails(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = Conversation(bundle)
    conversation.turn("Ann", "i am happy")
    before = remembered(conversation)

    def fail(graph: str, inputs: Mapping[str, Any]) -> None:
        raise EngineError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(bundle.engine(), "run", fail)
        with pytest.raises(EngineError):
            conversation.turn("Ben", "fine")
    assert remembered(conversation) == before
    assert conversation.turn("Ben", "fine").turn == 2
