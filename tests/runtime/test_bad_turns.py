"""A bad turn has its own error, and the conversation goes on with its memory as it was."""

import time
from collections.abc import Mapping
from typing import Any

import cv2
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
from dcet.synthetic.probes import speech
from tests.runtime.probe import probed, remembered
from tests.runtime.signals import face

AUDIO = np.zeros(100, np.float32)
DOUBLE: Any = np.zeros(8)
FACE = np.zeros((8, 8, 3), np.uint8)
JPEG = cv2.imencode(".jpg", face())[1].tobytes()
PNG = cv2.imencode(".png", face())[1].tobytes()


def with_nan(shape: tuple[int, ...], value: float = np.nan) -> Any:
    array = np.zeros(shape, np.float32)
    array[(-1,) * len(shape)] = value
    return array


BAD: dict[str, tuple[dict[str, Any], type[InputError], str]] = {
    "nothing": ({}, EmptyTurn, "got none of them"),
    "blank text": ({"text": " \t\n"}, EmptyTurn, "text: empty"),
    "10,000 words": (
        {"text": "happy " * 10_000},
        TextTooLong,
        "at most 8192 characters, got 60000",
    ),
    "long name": ({"speaker": "x" * 257, "text": "fine"}, TextTooLong, "at most 256 characters"),
    "a name that is long once composed": (
        {"speaker": "\u0344" * 129, "text": "fine"},
        TextTooLong,
        "at most 256 characters, got 258",
    ),
    "bytes": ({"text": b"fine"}, WrongDtype, "text: expected a str, got bytes; decode it first"),
    "half a surrogate pair": ({"text": "fine \ud83d"}, WrongDtype, "half of a surrogate pair"),
    "numbered speaker": (
        {"speaker": 0, "text": "fine"},
        WrongDtype,
        "speaker: expected a str, got int; give it as text",
    ),
    "speaker of bytes": (
        {"speaker": b"Zo\xc3\xab", "text": "fine"},
        WrongDtype,
        "speaker: expected a str, got bytes; decode it first",
    ),
    "no speaker": ({"speaker": None, "text": "fine"}, WrongDtype, "got NoneType; give it as text"),
    "words in a list": ({"text": ["fine"]}, WrongDtype, "text: .* got list; give it as text"),
    "audio of bytes": (
        {"audio": np.zeros(9, np.uint8)},
        WrongDtype,
        "audio: .* int16 or float32 or float64, got uint8; convert it to int16, or to floats from",
    ),
    "complex audio": ({"audio": np.zeros(9, complex)}, WrongDtype, "got complex128"),
    "masked audio": (
        {"audio": np.ma.masked_invalid(AUDIO)},
        WrongDtype,
        r"audio: .* got a masked array; fill it with array\.filled\(0\)",
    ),
    "masked features": ({"text": Features(np.ma.zeros(8, np.float32))}, WrongDtype, "text: .*mask"),
    "masked faces": ({"faces": np.ma.zeros((1, 20, 20, 3), np.uint8)}, WrongDtype, "faces: .*mask"),
    "a list for audio": (
        {"audio": [0.0, 0.1]},
        WrongDtype,
        r"audio: .* got list; make it an array with np\.array",
    ),
    "an array of float faces": (
        {"faces": FACE[None] / 255.0},
        WrongDtype,
        r"faces: .* uint8, got float64; convert it to np\.uint8, from 0 to 255",
    ),
    "an array of faces with two channels": (
        {"faces": np.zeros((2, 20, 20, 2), np.uint8)},
        WrongShape,
        r"with 1, 3 or 4 channels, got \(2, 20, 20, 2\)",
    ),
    "big-endian features": (
        {"text": Features(np.zeros(8, ">f4"))},
        WrongDtype,
        "text: expected a NumPy array of float32, got >f4",
    ),
    "a number for faces": ({"faces": 3}, WrongDtype, "faces: .* got int; give a list of arrays"),
    "a name for faces": (
        {"faces": "me.jpg"},
        WrongDtype,
        "faces: .* got str; give a list of arrays",
    ),
    "one face without a list": (
        {"faces": FACE},
        WrongShape,
        r"faces: .* got \(8, 8, 3\); put a single image in a list",
    ),
    "one file without a list": ({"faces": JPEG}, WrongDtype, "faces: .* got bytes; put it in"),
    "several colour orders": (
        {"faces": [face()], "colors": np.array(["rgb", "bgr"])},
        InputError,
        "colors: expected 'rgb' or 'bgr', got array",
    ),
    "a colour order of its own": (
        {"faces": [face()], "colors": "hsv"},
        InputError,
        "colors: expected 'rgb' or 'bgr', got 'hsv'",
    ),
    **{
        f"{value!r} for whole_frames": (
            {"faces": [face()], "whole_frames": value},
            InputError,
            "whole_frames: expected True or False, got",
        )
        for value in ("no", None, 1, np.array([True, False]))
    },
    "a box for crops": (
        {"faces": [face()], "face_box": (0, 0, 48, 48)},
        InputError,
        "face_box: expected faces with it, and whole_frames=True",
    ),
    "a box without faces": (
        {"text": "fine", "face_box": (0, 0, 48, 48), "whole_frames": True},
        InputError,
        "face_box: expected faces with it",
    ),
    "three boxes for two frames": (
        {"faces": [face()] * 2, "face_box": np.ones((3, 4)), "whole_frames": True},
        WrongShape,
        r"face_box: .* \(4,\) for all frames or \(2, 4\), got \(3, 4\)",
    ),
    "a box that is none": (
        {"faces": [face()], "face_box": "left", "whole_frames": True},
        WrongDtype,
        "face_box: expected numbers, got 'left'",
    ),
    "a box of NaN": (
        {"faces": [face()], "face_box": (0, 0, np.nan, 9), "whole_frames": True},
        NotFinite,
        "face_box: expected finite numbers",
    ),
    "float64 features": ({"text": Features(DOUBLE)}, WrongDtype, "text: .* got float64"),
    **{
        f"{rate!r} Hz": (
            {"audio": AUDIO, "sample_rate_hz": rate},
            WrongSampleRate,
            "sample_rate_hz: expected a whole number of 1 or more, got",
        )
        for rate in (0, -16_000, 0.0, 16_000.5, "16000", True, None, np.nan, np.inf, -(10**400))
    },
    "channels first": (
        {"audio": np.zeros((2, 100), np.int16)},
        WrongShape,
        r"audio: .* got \(2, 100\); transpose it",
    ),
    "audio of three dimensions": ({"audio": AUDIO[:, None, None]}, WrongShape, r"\(100, 1, 1\)"),
    "no channel": ({"audio": np.zeros((100, 0), np.int16)}, WrongShape, r"got \(100, 0\)"),
    "narrow text features": (
        {"text": Features(np.zeros(7, np.float32))},
        WrongShape,
        r"text: expected features of shape \(8,\), got \(7,\)",
    ),
    "too many audio features": (
        {"audio": Features(np.zeros((9, 3), np.float32))},
        WrongShape,
        r"audio: expected features of shape \(n, 3\) with n from 0 to 8, got \(9, 3\)",
    ),
    "flat audio features": ({"audio": Features(np.zeros(3, np.float32))}, WrongShape, r"\(3,\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_turn(bundle: Bundle, name: str) -> None:
    given, error, message = BAD[name]
    conversation = probed(bundle, max_speakers=2)
    for speaker in ("Ann", "Ben"):
        conversation.turn(speaker, "i am happy")
    before = remembered(conversation)
    # A new speaker would take a slot, and another would lose theirs.
    with pytest.raises(error, match=message):
        conversation.turn(**{"speaker": "Cem", **given})
    assert remembered(conversation) == before

    undisturbed = Conversation(bundle, max_speakers=2)
    for speaker in ("Ann", "Ben"):
        undisturbed.turn(speaker, "i am happy")
    after, expected = conversation.turn("Ann", "fine"), undisturbed.turn("Ann", "fine")
    assert after.probabilities == expected.probabilities
    assert after.turn == 3


SHAPES = (
    "expected an image of shape (height, width) or (height, width, channels) with 1, 3 or 4 "
    "channels, got "
)
UNDECODABLE = "bytes that are no JPEG, PNG, WebP or BMP OpenCV can decode"
PIXELS = "expected a NumPy array of uint8, got "

# What cannot be used, and the reason that `degraded` gives
LEFT_OUT: dict[str, tuple[dict[str, Any], str]] = {
    "digital silence": ({"audio": np.zeros(16_000, np.int16)}, "audio: silent"),
    "silence with an offset": ({"audio": np.full(16_000, 0.3, np.float32)}, "audio: silent"),
    "dither": ({"audio": (np.arange(16_000) % 3 - 1).astype(np.int16)}, "audio: silent"),
    "channels that cancel": (
        {"audio": np.outer(speech(1), [1, -1]).astype(np.float32)},
        "audio: silent",
    ),
    "20 ms": ({"audio": speech(0.02)}, "audio: 20 ms; at least 100 ms are needed"),
    "20 ms at 48 kHz": (
        {"audio": speech(0.06), "sample_rate_hz": 48_000},
        "audio: 20 ms; at least 100 ms are needed",
    ),
    "an empty array": ({"audio": np.zeros(0, np.float32)}, "audio: empty"),
    "an empty stereo array": ({"audio": np.zeros((0, 2), np.int16)}, "audio: empty"),
    "no images": ({"faces": []}, "face: empty"),
    "an empty batch": ({"faces": np.zeros((0, 48, 48, 3), np.uint8)}, "face: empty"),
    "a crop of 4×4": (
        {"faces": [face(4)]},
        "face: faces[0]: 4×4 pixels; at least 12×12 are needed",
    ),
    "a crop of no size": (
        {"faces": [face()[:0]]},
        "face: faces[0]: 0×64 pixels; at least 12×12 are needed",
    ),
    "an all-black crop": (
        {"faces": [np.zeros((64, 64, 3), np.uint8)]},
        "face: faces[0]: all its pixels are alike",
    ),
    "an all-red crop": (
        {"faces": [np.full((64, 64, 3), (250, 0, 0), np.uint8)]},
        "face: faces[0]: all its pixels are alike",
    ),
    "an all-black frame": (
        {"faces": [np.zeros((480, 640, 3), np.uint8)], "whole_frames": True},
        "face: faces[0]: no face found",
    ),
    "a frame of noise": (
        {
            "faces": [np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)],
            "whole_frames": True,
        },
        "face: faces[0]: no face found",
    ),
    "a frame too long to be true": (
        {"faces": [np.zeros((12, 9000, 3), np.uint8)], "whole_frames": True},
        "face: faces[0]: no face found",
    ),
    "half a JPEG": (
        {"faces": [JPEG[: len(JPEG) // 2]]},
        f"face: faces[0]: {len(JPEG) // 2} {UNDECODABLE}",
    ),
    "half a PNG": (
        {"faces": [PNG[: len(PNG) // 2]]},
        f"face: faces[0]: {len(PNG) // 2} {UNDECODABLE}",
    ),
    "no bytes": (
        {"faces": [b""]},
        f"face: faces[0]: 0 {UNDECODABLE}",
    ),
    **{
        f"{value} in {name}": (
            given,
            f"{modality}: expected finite numbers, got {value} at {place}",
        )
        for value in (np.nan, np.inf)
        for name, modality, given, place in (
            ("audio", "audio", {"audio": with_nan((1_600,), value)}, [1_599]),
            ("stereo", "audio", {"audio": with_nan((1_600, 2), value)}, [1_599, 1]),
            ("text features", "text", {"text": Features(with_nan((8,), value))}, [7]),
            ("audio features", "audio", {"audio": Features(with_nan((2, 3), value))}, [1, 2]),
            ("face features", "face", {"faces": Features(with_nan((1, 4), value))}, [0, 3]),
        )
    },
    **{
        f"{name} for a frame": ({"faces": [frame]}, f"face: faces[0]: {reason}")
        for name, frame, reason in (
            ("nothing", None, "there is no image"),
            ("an empty array", np.zeros(0, np.uint8), SHAPES + "(0,); convert it"),
            ("a line of pixels", FACE[0, 0], SHAPES + "(3,); convert it"),
            ("grey and alpha", face()[..., :2], SHAPES + "(64, 64, 2); convert it"),
            ("no channel", face()[..., :0], SHAPES + "(64, 64, 0); convert it"),
            ("floats", face() / 255, PIXELS + "float64; convert it to np.uint8, from 0 to 255"),
            ("a list", face().tolist(), PIXELS + "list; make it an array with np.array"),
            (
                "a masked array",
                np.ma.array(face()),
                PIXELS + "a masked array; fill it with array.filled(0)",
            ),
            ("a name", "face.jpg", "expected an image, got str; give the bytes of the file"),
            ("no pixel", np.zeros((0, 0, 3), np.uint8), "0×0 pixels; at least 12×12 are needed"),
        )
    },
    "Russian": ({"text": "я счастлив сегодня"}, "text: none of its words is known"),
    "Chinese": ({"text": "我很高兴"}, "text: none of its words is known"),
    "emoji only": ({"text": "😀🎉😀"}, "text: none of its words is known"),
    "nothing visible": ({"text": "\u200b\u200d"}, "text: none of its words is known"),
    "blanks": ({"text": " \t\n"}, "text: empty"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_has_its_reason(bundle: Bundle, name: str) -> None:
    """Alone it is no turn, and nothing is remembered; the rest of a turn is answered without it."""
    given, reason = LEFT_OUT[name]
    rest = {"text": "i am happy"} if "text" not in given else {"audio": speech(1)}
    conversation = probed(bundle, max_speakers=1)
    conversation.turn("Ann", "fine", audio=speech(2))
    before = remembered(conversation)
    for speaker in ("Ann", "Ben"):
        with pytest.raises(EmptyTurn) as raised:
            conversation.turn(speaker, **given)
        assert reason in str(raised.value)
        assert remembered(conversation) == before
    estimate = Conversation(bundle).turn("Ann", **given, **rest)
    assert reason in estimate.degraded
    expected = Conversation(bundle).turn("Ann", **rest)
    assert estimate.probabilities == expected.probabilities
    assert estimate.modality_weights == expected.modality_weights


def test_every_reason_is_given_at_once(bundle: Bundle) -> None:
    with pytest.raises(EmptyTurn) as raised:
        Conversation(bundle).turn("Ann", "😀", audio=speech(0.02), faces=[face(4), b"?"])
    for reason in ("text: none of its words", "audio: 20 ms;", "faces[0]: 4×4", "faces[1]: 1 byte"):
        assert reason in str(raised.value)


def test_a_bundle_without_encoders_says_so(reader: Bundle) -> None:
    """It asks for nothing to be installed either."""
    conversation = Conversation(reader)
    for given, reason in (
        ({"audio": speech(1), "sample_rate_hz": 8_000}, "audio: this bundle has no encoder for it"),
        ({"faces": [JPEG]}, "face: this model was not trained on it"),
        ({"faces": Features(np.zeros((1, 4), np.float32))}, "face: this model was not trained on"),
    ):
        options: dict[str, Any] = given
        with pytest.raises(EmptyTurn, match=reason):
            conversation.turn("Ann", **options)
        assert reason in conversation.turn("Ann", "fine", **options).degraded[0]


def test_ten_minutes_do_not_stall_a_turn(bundle: Bundle) -> None:
    """Only the last 24 s of 10 minutes at 48 kHz in stereo are resampled and encoded."""
    minutes = np.tile(np.stack([speech(30)] * 2, axis=1), (60, 1))
    assert len(minutes) == 600 * 48_000
    started = time.process_time()
    estimate = Conversation(bundle).turn("Ann", audio=minutes, sample_rate_hz=48_000)
    assert time.process_time() - started < 2
    assert estimate.degraded == ("audio: the last 24 s of 600 s are used",)
    expected = Conversation(bundle).turn(
        "Ann", audio=minutes[-24 * 48_000 :], sample_rate_hz=48_000
    )
    assert expected.degraded == ()
    assert estimate.probabilities == expected.probabilities


def test_a_bad_frame_costs_that_frame_alone(bundle: Bundle) -> None:
    """Text, audio and the good frames are answered; nothing else changes."""
    good = face(20)
    bad: Any = [good, None, face() / 255, b"", good[:0], good]
    estimate = Conversation(bundle).turn("Ann", "fine", speech(1), bad)
    expected = Conversation(bundle).turn("Ann", "fine", speech(1), [good, good])
    assert [reason.split(": ")[1] for reason in estimate.degraded] == [
        f"faces[{place}]" for place in range(1, 5)
    ]
    assert estimate.probabilities == expected.probabilities
    assert estimate.quality == expected.quality


def test_nan_in_what_is_cut_off_costs_nothing(bundle: Bundle) -> None:
    long = np.concatenate([with_nan((16_000,)), speech(25)])
    estimate = Conversation(bundle).turn("Ann", audio=long)
    assert estimate.degraded == ("audio: the last 24 s of 26 s are used",)


@pytest.mark.parametrize("rate", [44_100.0, np.float32(44_100), np.int32(44_100)])
def test_a_whole_rate_is_a_rate_whatever_its_type(bundle: Bundle, rate: float) -> None:
    audio = speech(1, sample_rate_hz=44_100)
    estimate = Conversation(bundle).turn("Ann", audio=audio, sample_rate_hz=rate)
    expected = Conversation(bundle).turn("Ann", audio=audio, sample_rate_hz=44_100)
    assert estimate.probabilities == expected.probabilities


@pytest.mark.parametrize("bad_output", ["probabilities", "next_scene_memory"])
def test_an_engine_that_gives_nan(
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    bad_output: str,
) -> None:
    """It must not reach the memory, where it would stay."""
    conversation = probed(bundle)
    conversation.turn("Ann", "i am happy")
    before = remembered(conversation)
    engine = bundle.engine()
    run = engine.run

    def run_badly(graph: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        outputs = dict(run(graph, inputs))
        if graph == "step":
            outputs[bad_output] = np.full_like(outputs[bad_output], np.nan)
        return outputs

    with monkeypatch.context() as patch:
        patch.setattr(engine, "run", run_badly)
        with pytest.raises(EngineError, match="expected finite estimates, got NaN"):
            conversation.turn("Ann", "fine")
    assert remembered(conversation) == before


def test_an_engine_that_fails(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = probed(bundle)
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
