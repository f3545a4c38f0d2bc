"""A folder of labelled turns: what is in it, and every way it can be wrong."""

import json
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcet.data.answers import NEUTRAL
from dcet.data.media import write_wav
from dcet.data.playing import play
from dcet.data.turns import LabelledTurn, Turns, read_turns
from dcet.runtime import Bundle, errors
from dcet.runtime.labels import EMOTIONS

ANN = {"conversation": "a", "speaker": "Ann", "emotion": "joy", "text": "I am so happy!"}
BEN = {"conversation": "a", "speaker": "Ben", "emotion": "anger", "text": "You are not."}
TONE = (8000 * np.sin(np.arange(4800) / 20)).astype(np.int16)
FACE = np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)


def write(folder: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "turns.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a recording and a picture."""
    write_wav(tmp_path / "ann.wav", TONE, 16_000)
    cv2.imwrite(str(tmp_path / "ann.png"), FACE[..., ::-1])
    return tmp_path


def test_a_turn_holds_what_its_line_says(folder: Path) -> None:
    ann = ANN | {"audio": "ann.wav", "faces": ["ann.png", "ann.png"]}
    turns = read_turns(
        write(
            folder, ann, "", BEN | {"emotion": " Anger"}, ANN | {"text": None, "audio": "ann.wav"}
        )
    )
    assert len(turns) == 3
    first, second, third = turns
    assert (first.speaker, first.text, first.sample_rate_hz) == ("Ann", "I am so happy!", 16_000)
    assert [EMOTIONS[turn.emotion] for turn in turns] == ["joy", "anger", "joy"]
    assert first.audio is not None
    assert first.audio.dtype == np.int16
    np.testing.assert_array_equal(first.audio, TONE)
    np.testing.assert_array_equal(first.faces, [FACE, FACE])
    assert (second.audio, second.faces, third.text) == (None, (), None)


def test_conversations_come_in_the_order_of_their_first_line(folder: Path) -> None:
    order = ("b", "a", "b", "c", "a")
    rows = [ANN | {"conversation": c, "text": str(i)} for i, c in enumerate(order)]
    turns = read_turns(write(folder, *rows, BEN))
    texts = {name: [turn.text for turn in of] for name, of in turns.conversations.items()}
    assert texts == {"b": ["0", "2"], "a": ["1", "4", "You are not."], "c": ["3"]}
    assert list(texts) == ["b", "a", "c"]


def test_a_name_is_one_speaker_however_its_accents_are_encoded(folder: Path) -> None:
    names = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    turns = read_turns(write(folder, *(ANN | {"speaker": name} for name in names), BEN))
    assert [turn.speaker for turn in turns] == [names[0], names[0], "Ben"]


@pytest.mark.parametrize(
    ("name", "options"),
    [("x.flac", {}), ("x.wav", {"subtype": "FLOAT"}), ("x.wav", {"subtype": "PCM_24"})],
)
def test_other_sounds_are_read(folder: Path, name: str, options: dict[str, Any]) -> None:
    stereo = np.stack([TONE, -TONE], axis=1) / 2**15
    soundfile.write(folder / name, stereo, 44_100, **options)
    turn = next(iter(read_turns(write(folder, ANN | {"audio": name}, BEN))))
    assert turn.audio is not None
    assert (turn.audio.shape, turn.sample_rate_hz) == ((4800, 2), 44_100)
    heard = turn.audio if turn.audio.dtype == np.int16 else turn.audio * 2**15
    np.testing.assert_allclose(heard[:, 0], TONE, atol=1)


def test_the_hash_is_of_what_is_in_the_set(folder: Path) -> None:
    ann = ANN | {"audio": "ann.wav", "faces": ["ann.png"]}
    sha256 = read_turns(write(folder, ann, BEN)).sha256
    soundfile.write(folder / "other.flac", TONE, 16_000)
    assert read_turns(write(folder, "", ann | {"audio": "other.flac"}, BEN)).sha256 == sha256
    changes: list[dict[str, Any]] = [
        {"audio": None}, {"faces": []}, {"faces": ["ann.png"] * 2}, {"text": "No."},
        {"speaker": "Eve"}, {"conversation": "b"}, {"emotion": "fear"},
    ]  # fmt: skip
    hashes = {read_turns(write(folder, ann | change, BEN)).sha256 for change in changes}
    assert len(hashes | {sha256}) == len(changes) + 1


def test_wav_needs_no_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("soundfile", "cv2"):
        monkeypatch.setitem(sys.modules, package, None)
    write(folder, ANN | {"audio": "ann.wav"}, BEN)
    assert len(read_turns(folder)) == 2
    with pytest.raises(errors.MissingExtra, match=r"'dcet\[faces\]'"):
        read_turns(write(folder, ANN | {"faces": ["ann.png"]}, BEN))
    (folder / "x.flac").write_bytes(b"fLaC")
    with pytest.raises(errors.MissingExtra, match=r"'dcet\[audio\]'"):
        read_turns(write(folder, ANN | {"audio": "x.flac"}, BEN))


BROKEN: list[tuple[type[errors.DataError], str, Any]] = [
    (errors.MalformedTable, "expected a JSON object: Expecting", '{"conversation": "a",,}'),
    (errors.MalformedTable, r"expected a JSON object, got \[1\]", "[1]"),
    (errors.MissingColumn, "speaker, emotion is missing", '{"conversation": "a"}'),
    (errors.MalformedTable, "'face' is not a key", {"face": []}),
    (errors.MalformedTable, "text: expected text or null, got 7", {"text": 7}),
    (errors.MalformedTable, "faces: expected a list of names", {"faces": [None]}),
    (errors.MalformedTable, "text: .*surrogate", {"text": "\ud800"}),
    (errors.UnknownLabel, "emotion is 'glad'; expected one of anger", {"emotion": "glad"}),
    (errors.EmptyUtterance, "it has neither", {"text": "", "faces": []}),
    (errors.DataNotFound, r"audio: .*no\.wav: there is no such file", {"audio": "no.wav"}),
    (errors.DataNotFound, r"faces: .*no\.png", {"faces": ["no.png"]}),
    (errors.PathOutside, r"audio: .*'\.\./up\.wav'", {"audio": "../up.wav"}),
    (errors.PathOutside, "faces: .*'/etc/hosts'", {"faces": ["/etc/hosts"]}),
    (errors.PathOutside, "audio", {"audio": "link.wav"}),
    (
        errors.UnusableMedia,
        r".*nan\.wav: expected finite .* got nan at \[7\]",
        {"audio": "nan.wav"},
    ),
    (errors.UnusableMedia, r".*empty\.wav: it holds no audio", {"audio": "empty.wav"}),
    (errors.UnusableMedia, r"audio: .*cut\.wav: expected 9600 bytes", {"audio": "cut.wav"}),
    (errors.UnusableMedia, r"audio: .*jsonl: cannot read the audio", {"audio": "turns.jsonl"}),
    (errors.UnusableMedia, r"faces: .*ann\.wav: cannot use the", {"faces": ["ann.wav"]}),
    (errors.UndecodableText, "byte 0xff", "\udcff"),
    (errors.MalformedTable, r"audio: no file can .*'a\\x00\.wav'", {"audio": "a\0.wav"}),
    (errors.MalformedTable, "audio: no file can .*too long", {"audio": "x" * 5_000}),
    (errors.MalformedTable, "faces: no file can .*symbolic links", {"faces": ["loop.png"]}),
    (errors.MalformedTable, "audio: no file can .*Not a directory", {"audio": "ann.wav/a"}),
    (errors.DataNotFound, "audio: .*there is no such file", {"audio": "."}),
    (errors.MalformedTable, "speaker: .*surrogate", {"speaker": "\ud800"}),
    (errors.MalformedTable, "conversation: .*surrogate", {"conversation": "\udfff"}),
    (errors.MalformedTable, "audio: .*surrogate", {"audio": "\udcff.wav"}),
    (errors.MalformedTable, "faces: .*surrogate", {"faces": ["ann.png", "\udcff.png"]}),
    (
        errors.MalformedTable,
        "text: expected text or null, got",
        '{"conversation": "a", '
        '"speaker": "Ann", "emotion": "joy", "text": ' + "[" * 900 + "]" * 900 + "}",
    ),
]


@pytest.mark.parametrize(("error", "match", "row"), BROKEN)
def test_a_broken_line_is_named(
    folder: Path, error: type[errors.DataError], match: str, row: dict[str, Any] | str
) -> None:
    broken = np.full(4800, 0.1, np.float32)
    broken[7] = np.nan
    soundfile.write(folder / "nan.wav", broken, 16_000, subtype="FLOAT")
    write_wav(folder / "empty.wav", TONE[:0], 16_000)
    (folder / "cut.wav").write_bytes((folder / "ann.wav").read_bytes()[:-100])
    (folder / "link.wav").symlink_to(Path(__file__))
    (folder / "loop.png").symlink_to("loop2.png")
    (folder / "loop2.png").symlink_to("loop.png")
    line = row if isinstance(row, str) else json.dumps(ANN | row)
    table = f"{json.dumps(BEN)}\n{line}\n"
    (folder / "turns.jsonl").write_bytes(table.encode(errors="surrogateescape"))
    with pytest.raises(error, match=f"line 2: {match}"):
        read_turns(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "ann.wav",
        "ann.png",
        "loop.png",
        "no.wav",
        ".",
        "..",
        "",
        "a\0",
        "x" * 300,
        "\ud800",
        "/",
        "~",
    ]
) | st.text(st.characters(), max_size=12)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.text(st.characters(), max_size=4) | JSON,
        "speaker": st.text(st.characters(), max_size=4) | JSON,
        "emotion": st.sampled_from(["joy", " Anger", "glee"]) | JSON,
        "text": st.text(st.characters(), max_size=8) | JSON,
        "audio": NAMES | JSON,
        "faces": st.lists(NAMES, max_size=2) | JSON,
    },
)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS.map(json.dumps) | st.text(max_size=30), min_size=1, max_size=3))
def test_any_table_is_read_or_one_error_names_it(folder: Path, lines: list[str]) -> None:
    loop = folder / "loop.png"
    if not loop.is_symlink():
        loop.symlink_to("loop.png")
    table = "\n".join([json.dumps(ANN), json.dumps(BEN), *lines])
    (folder / "turns.jsonl").write_bytes(table.encode(errors="surrogatepass"))
    try:
        turns = read_turns(folder)
    except errors.DataError as error:
        message = str(error)
    else:
        message = f"{folder / 'turns.jsonl'}, line 2"
        assert len(turns) >= 2
        assert turns.sha256
    assert message.startswith(f"{folder / 'turns.jsonl'}, line ")


def one_class(folder: Path) -> Path:
    return write(folder, ANN, ANN | {"text": "Still."})


def twice(folder: Path) -> Path:
    return write(folder, ANN | {"audio": "ann.wav"}, BEN, ANN | {"audio": "ann.wav"})


@pytest.mark.parametrize(
    ("error", "match", "make"),
    [
        (errors.OneClassOnly, "at least two emotions, got 2 of joy alone", one_class),
        (errors.DuplicateTurn, "line 3: it is the same turn as line 1", twice),
        (errors.DataError, "expected labelled turns, got none", write),
        (errors.DataNotFound, "give a folder that holds turns.jsonl", lambda folder: folder / "no"),
    ],
)
def test_a_set_that_cannot_be_used(
    folder: Path, error: type[errors.DataError], match: str, make: Callable[[Path], Path]
) -> None:
    with pytest.raises(error, match=match):
        read_turns(make(folder))


def test_the_same_words_may_be_said_twice(folder: Path) -> None:
    assert len(read_turns(write(folder, ANN, BEN, ANN))) == 3


def test_playing_begins_each_conversation_anew(bundle: Bundle) -> None:
    joy, anger = EMOTIONS.index("joy"), EMOTIONS.index("anger")
    said = [
        LabelledTurn(speaker="Ann", emotion=joy, text="i am happy", faces=(FACE,)),
        LabelledTurn(speaker="Ben", emotion=anger, text="i am angry", audio=TONE),
        LabelledTurn(speaker="Ann", emotion=joy, text="so happy !"),
    ]
    played = play(bundle, Turns("x", {"one": tuple(said), "two": tuple(said)}))
    assert played.shape == (6, 7)
    np.testing.assert_array_equal(played[:3], played[3:])
    np.testing.assert_allclose(played.sum(axis=1), 1, atol=1e-5)


def test_a_turn_of_which_nothing_is_left_counts(bundle: Bundle) -> None:
    def silent(speaker: str) -> LabelledTurn:
        return LabelledTurn(speaker=speaker, emotion=0, audio=np.zeros(4800, np.int16))

    ann = LabelledTurn(speaker="Ann", emotion=3, text="i am happy")
    played = play(bundle, Turns("x", {"one": (silent("Ann"), ann, silent("Ann"), silent("Ben"))}))
    np.testing.assert_array_equal(played[[0, 3]], [NEUTRAL.probabilities] * 2)
    np.testing.assert_array_equal(played[1], played[2])
