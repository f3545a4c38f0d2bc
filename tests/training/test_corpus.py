"""A corpus and the arrays beside it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcet.runtime.errors import DataError, DcetError
from dcet.training.corpus import Corpus
from tests.tiny_training import Line, lines, write_csv

ROWS = [Line("so happy", "Ada", "joy", 0, 0), Line("so sad", "Ben", "sadness", 0, 1)]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "dev_sent_emo.csv", ROWS)


def test_without_arrays_nothing_was_measured(csv: Path) -> None:
    corpus = Corpus.read(csv)
    assert corpus.prosody.shape == (2, 15)
    assert not corpus.prosody_mask.any()
    assert not corpus.soft.any()


def test_prosody_beside_the_csv_is_found(csv: Path) -> None:
    assert not Corpus.of_meld(csv.parent, "dev").prosody_mask.any()
    prosody = np.arange(30, dtype=np.float64).reshape(2, 15)
    np.savez(csv.parent / "dev_prosody.npz", prosody=prosody, prosody_mask=[1, 0])
    corpus = Corpus.of_meld(csv.parent, "dev")
    assert (corpus.prosody == prosody).all()
    assert corpus.prosody_mask.tolist() == [1, 0]
    assert corpus.prosody.dtype == corpus.prosody_mask.dtype == np.float32


def test_a_part_keeps_its_rows(tmp_path: Path) -> None:
    corpus = Corpus.read(write_csv(tmp_path / "a.csv", lines(4, seed=0)))
    part = corpus.only(corpus.dialogues[2:])
    assert part.dialogues[0].turns[0].row > 0
    assert len(part.prosody) == len(corpus.prosody)


def arrays(path: Path, **changes: object) -> None:
    good = {"prosody": np.zeros((2, 15)), "prosody_mask": np.ones(2)}
    np.savez(path, **(good | changes))  # type: ignore[arg-type]


def cut(path: Path) -> None:
    arrays(path)
    path.write_bytes(path.read_bytes()[:300])


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (lambda path: None, "cannot read the array 'prosody'"),
    "no array": (lambda path: np.savez(path, other=[1]), "cannot read the array 'prosody'"),
    "other rows": (lambda path: arrays(path, prosody=np.zeros((3, 15))), r"got \(3, 15\)"),
    "other mask": (lambda path: arrays(path, prosody_mask=np.ones((2, 1))), r"got \(2, 1\)"),
    "nan": (lambda path: arrays(path, prosody=np.full((2, 15), np.nan)), "NaN or infinite"),
    "text": (lambda path: arrays(path, prosody=np.full((2, 15), "x")), "cannot read"),
    "objects": (lambda path: arrays(path, prosody=np.full((2, 15), None)), "cannot read"),
    "cut": (cut, "cannot read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot read"),
    "no npz": (lambda path: path.write_text("hello"), "cannot read"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_arrays_are_named(csv: Path, kind: str) -> None:
    path = csv.with_name("prosody.npz")
    spoil, message = BROKEN[kind]
    spoil(path)
    with pytest.raises(DataError, match=message) as caught:
        Corpus.read(csv, prosody=path)
    assert str(path) in str(caught.value)


def test_one_array_is_no_archive(csv: Path) -> None:
    path = csv.with_name("prosody.npy")
    np.save(path, np.zeros((2, 15)))
    with pytest.raises(DataError, match="cannot read"):
        Corpus.read(csv, prosody=path)


def test_a_corpus_without_turns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DcetError, match="at least one row"):
        Corpus.read(write_csv(tmp_path / "empty.csv", []))
