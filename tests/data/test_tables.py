"""One rule for every table: byte order marks, labels in any case, and errors with file and line."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dcet.data.recordings import read_actors, read_faces
from dcet.data.turns import read_turns
from dcet.runtime import errors
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.speech import read_speech
from tests.tiny_recordings import SPLIT, write_recordings
from tests.tiny_senses import write_senses

Read = Callable[[Path], object]
BOM = b"\xef\xbb\xbf"
# For each reader: its folder in that of all corpora, and itself.
READERS: dict[str, tuple[str, Read]] = {
    "ravdess": ("ravdess", partial(read_speech, "ravdess", split="train")),
    "crema_d": ("crema_d", partial(read_speech, "crema_d", split="train")),
    "ferplus": ("ferplus", partial(read_ferplus, split="train")),
    "actors": ("ravdess", partial(read_actors, split=SPLIT)),
    "faces": ("ferplus", partial(read_faces, split=SPLIT)),
}


@pytest.fixture(params=READERS)
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Read]:
    name, read = READERS[request.param]
    write = write_recordings if request.param in ("actors", "faces") else write_senses
    write(tmp_path / "data")
    return tmp_path / "data" / name / "labels.csv", lambda file: read(file.parent)


def rewrite(file: Path, change: Callable[[str], str]) -> None:
    file.write_bytes(change(file.read_text(encoding="utf-8")).encode())


def test_a_byte_order_mark_and_capitals_change_nothing(corpus: tuple[Path, Read]) -> None:
    file, read = corpus
    expected = str(read(file))
    with file.open(newline="", encoding="utf-8") as opened:
        header, *rows = csv.reader(opened)
    place = header.index("label")
    for row in rows:
        row[place] = f" {row[place].capitalize()}"
    with file.open("w", newline="", encoding="utf-8-sig") as opened:
        csv.writer(opened).writerows([header, *rows])
    assert file.read_bytes().startswith(BOM)
    assert str(read(file)) == expected


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda text: text + text.splitlines()[1], errors.DuplicateTurn, "that of line 2, too"),
        (
            lambda text: text.replace("joy", "glee"),
            errors.UnknownLabel,
            "label is 'glee'",
        ),
        (lambda text: text.replace("label", "mood"), errors.MissingColumn, "columns label are"),
        (lambda text: text + "new", errors.MalformedTable, "the row ends before"),
        (lambda text: text + '"' + "x" * 200_000, errors.MalformedTable, "look for a quote"),
        (lambda text: text.partition("\n")[0], errors.DataError, "got no row"),
    ],
)
def test_what_is_wrong_is_named(
    corpus: tuple[Path, Read],
    change: Callable[[str], str],
    error: type[errors.DataError],
    message: str,
) -> None:
    file, read = corpus
    rewrite(file, change)
    with pytest.raises(error, match=message) as caught:
        read(file)
    assert str(file) in str(caught.value)


def test_bytes_that_are_no_text_are_named(corpus: tuple[Path, Read]) -> None:
    file, read = corpus
    file.write_bytes(file.read_bytes() + b"caf\xe9,\n")
    line = file.read_bytes().count(b"\n")
    with pytest.raises(errors.UndecodableText, match=f"line {line}: byte 0xe9 at offset"):
        read(file)


@pytest.mark.parametrize("name", ["a\0.flac", "x" * 5_000, "../up.flac", "/etc/hosts"])
@pytest.mark.parametrize("reader", ["ravdess", "actors"])
def test_names_of_files_are_checked(tmp_path: Path, reader: str, name: str) -> None:
    folder, read = READERS[reader]
    write = write_recordings if reader == "actors" else write_senses
    file = write(tmp_path / "data") / folder / "labels.csv"
    header, first, *rest = file.read_text(encoding="utf-8").splitlines()
    _, _, cells = first.partition(",")
    file.write_text("\n".join([header, f"{name},{cells}", *rest]), encoding="utf-8")
    expected = errors.PathOutside if "/" in name else errors.MalformedTable
    with pytest.raises(expected, match="line 2: "):
        read(file.parent)


def test_turns_take_a_byte_order_mark_and_capitals(tmp_path: Path) -> None:
    rows = [
        {"conversation": "a", "speaker": "Ann", "emotion": label, "text": "Well."}
        for label in (" Joy", "ANGER")
    ]
    file = tmp_path / "turns.jsonl"
    file.write_bytes(BOM + "\r\n".join(map(json.dumps, rows)).encode())
    assert read_turns(tmp_path).labels.tolist() == [3, 0]
