"""Corpora that cannot be learned from, through the command line: one line says what is wrong, and
nothing is written."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dcet.training.cli import main
from tests.tiny_senses import write_resnet, write_table

Spoil = Callable[[Path], object]


def without(column: str, table: str) -> Spoil:
    def spoil(data: Path) -> None:
        with (data / table).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        (data / table).unlink()
        write_table(data / table, [{n: row[n] for n in row if n != column} for row in rows])

    return spoil


def of_one_class(table: str, label: str, column: str = "label") -> Spoil:
    def spoil(data: Path) -> None:
        with (data / table).open(newline="", encoding="utf-8") as file:
            rows = [{**row, column: label} for row in csv.DictReader(file)]
        write_table(data / table, rows)

    return spoil


def with_text_for(pattern: str) -> Spoil:
    def spoil(data: Path) -> None:
        for file in data.glob(pattern):
            file.write_text("<html>404 Not Found</html>", encoding="utf-8")

    return spoil


@pytest.mark.parametrize(
    ("modality", "corpus", "spoil", "expected"),
    [
        (
            *("text", "meld", without("Speaker", "meld/train_sent_emo.csv")),
            "train_sent_emo.csv: columns Speaker are missing",
        ),
        (
            *("audio", "crema_d", without("row", "crema_d/labels.csv")),
            "labels.csv: columns row are missing",
        ),
        (
            *("audio", "ravdess", without("speaker", "ravdess/labels.csv")),
            "labels.csv: columns speaker are missing",
        ),
        (
            *("face", "ferplus", without("happiness", "ferplus/labels.csv")),
            "labels.csv: columns happiness are missing",
        ),
        (
            *("text", "meld", of_one_class("meld/train_sent_emo.csv", "joy", "Emotion")),
            "meld, train: expected turns of at least two emotions to learn from, got joy alone",
        ),
        (
            *("audio", "ravdess", of_one_class("ravdess/labels.csv", "fear")),
            "ravdess, train: expected turns of at least two emotions",
        ),
        (
            *("face", "ferplus", of_one_class("ferplus/labels.csv", "disgust")),
            "ferplus, train: expected turns of at least two emotions",
        ),
        ("audio", "crema_d", with_text_for("crema_d/*.npz"), "logmel64x94.npz: cannot read the"),
        ("audio", "ravdess", with_text_for("ravdess/*.flac"), ".flac: "),
        ("face", "ferplus", with_text_for("ferplus/*.png"), "faces.png: cannot read the picture"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_said(
    data: Path,
    bert: Path,
    tmp_path: Path,
    modality: str,
    corpus: str,
    spoil: Spoil,
    expected: str,
) -> None:
    own = tmp_path / "data"
    shutil.copytree(data / corpus, own / corpus)
    spoil(own)
    text = ["--text-encoder", bert] if modality == "text" else []
    error = refused("encoder", "--modality", modality, "--corpus", corpus, "--data", own, *text)
    assert expected in error
    assert not (tmp_path / "run").exists()


def refused(*arguments: object, run: str = "run") -> str:
    """The one line that a command says why it does not begin."""
    words = [str(word) for word in arguments]
    result = CliRunner().invoke(main, [*words, "--output", run])
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert not Path(run).exists()
    return line


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_pictures_that_are_none_are_said(encoders: dict[str, Path], tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_text("no picture", encoding="utf-8")
    student = tmp_path / "student.json"
    student.write_text('{"channels": [4, 4], "width": 8}', encoding="utf-8")
    arguments = ["distill", "--modality", "face", "--teacher", encoders["face"], "--student"]
    assert "a.png: " in refused(*arguments, student, "--data", pictures)
    (pictures / "a.png").rename(pictures / "a.txt")
    assert "files, got none" in refused(*arguments, student, "--data", pictures)


def test_a_teacher_of_other_labels_is_not_enough(data: Path, tmp_path: Path) -> None:
    """Without labels nothing would say what is felt; with them it teaches what it can, and that is
    said."""
    teacher = write_resnet(tmp_path / "teacher")
    config = json.loads((teacher / "config.json").read_text(encoding="utf-8"))
    config["id2label"] = {place: f"cat {place}" for place in config["id2label"]}
    del config["label2id"]
    (teacher / "config.json").write_text(json.dumps(config), encoding="utf-8")
    student = tmp_path / "student.json"
    student.write_text('{"channels": [4, 4], "width": 8}', encoding="utf-8")
    shutil.copytree(data / "ferplus", tmp_path / "pictures" / "ferplus")
    arguments = ["distill", "--modality", "face", "--teacher", teacher, "--student", student]
    arguments += ["--epochs", "1", "--data", tmp_path / "pictures"]
    error = refused(*arguments)
    assert "--teacher: expected one that tells anger, disgust" in error
    assert f"got {teacher}: its labels are cat 0, cat 1, " in error
    words = [*map(str, arguments), "--corpus", "ferplus", "--output", "run"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert "teaches its features alone: its labels are cat 0, cat 1," in said
