"""A corpus and the opinions on it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcet.runtime.errors import DataError, DcetError
from dcet.training.corpora.corpus import Corpus
from tests.tiny_training import Line, lines, write_csv

ROWS = [Line("so happy", "Ada", "joy", 0, 0), Line("so sad", "Ben", "sadness", 0, 1)]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "dev_sent_emo.csv", ROWS)


def test_without_soft_labels_they_are_zeros(csv: Path) -> None:
    corpus = Corpus.read(csv)
    assert corpus.soft.shape == (2, 7)
    assert not corpus.soft.any()


def test_opinions_are_read(csv: Path) -> None:
    opinions = np.arange(14, dtype=np.float64).reshape(2, 7)
    np.savez(csv.with_name("soft.npz"), probabilities=opinions)
    for corpus in (
        Corpus.read(csv, soft_labels=csv.with_name("soft.npz")),
        Corpus.of_meld(csv.parent, "dev", soft_labels=csv.with_name("soft.npz")),
    ):
        assert (corpus.soft == opinions).all()
        assert corpus.soft.dtype == np.float32


def test_a_part_keeps_its_rows(tmp_path: Path) -> None:
    corpus = Corpus.read(write_csv(tmp_path / "a.csv", lines(4, seed=0)))
    part = corpus.only(corpus.dialogues[2:])
    assert part.dialogues[0].turns[0].row > 0
    assert len(part.soft) == len(corpus.soft)


def array(path: Path, probabilities: object) -> None:
    np.savez(path, probabilities=probabilities)  # type: ignore[arg-type]


def cut(path: Path) -> None:
    array(path, np.zeros((2, 7)))
    path.write_bytes(path.read_bytes()[:300])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (lambda path: None, "cannot read the array 'probabilities'"),
    "no array": (lambda path: np.savez(path, other=[1]), "cannot read the array 'probabilities'"),
    "other rows": (lambda path: array(path, np.zeros((3, 7))), r"got \(3, 7\)"),
    "other width": (lambda path: array(path, np.ones((2, 6))), r"got \(2, 6\)"),
    "nan": (lambda path: array(path, np.full((2, 7), np.nan)), "NaN or infinite"),
    "text": (lambda path: array(path, np.full((2, 7), "x")), "cannot read"),
    "objects": (lambda path: array(path, np.full((2, 7), None)), "cannot read"),
    "cut": (cut, "cannot read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot read"),
    "no npz": (lambda path: path.write_text("hello", encoding="utf-8"), "cannot read"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_arrays_are_named(csv: Path, kind: str) -> None:
    path = csv.with_name("soft.npz")
    spoil, message = BROKEN[kind]
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        Corpus.read(csv, soft_labels=path)
    assert str(path) in str(caught.value)


def test_one_array_is_no_archive(csv: Path) -> None:
    path = csv.with_name("soft.npy")
    np.save(path, np.zeros((2, 7)))
    with pytest.raises(DataError, match="cannot read"):
        Corpus.read(csv, soft_labels=path)


def test_a_corpus_without_turns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DcetError, match="at least one row"):
        Corpus.read(write_csv(tmp_path / "empty.csv", []))
