"""CREMA-D, RAVDESS and FER+ as they are stored, whole and broken."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
import torch

from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.speech import read_speech
from tests.tiny_senses import write_senses


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Corpora that the test may break."""
    return write_senses(tmp_path / "own")


def test_steps_become_levels(data: Path) -> None:
    speech = read_speech("crema_d", data / "crema_d", "dev")
    steps = np.load(data / "crema_d" / "logmel64x94.npz")["x"][-len(speech) :]
    apart = torch.from_numpy(steps).float().diff(dim=2) * 1.25  # dB
    heard = (speech.level[..., :-1] > 0.3) & (speech.level[..., 1:] > 0.3)  # 15 dB above the floor
    assert torch.allclose(speech.level.diff(dim=2)[heard], (apart / 50)[heard], atol=2e-3)
    assert speech.speaker.unique().tolist() == [0, 1]
    assert speech.pcm is None


def test_sound_becomes_levels(data: Path) -> None:
    speech = read_speech("ravdess", data / "ravdess", "train")
    assert speech.pcm is not None
    assert speech.pcm.shape == (14, 48_000)
    assert speech.emotion.tolist() == [*range(7), *range(7)]
    peaks = speech.level[:7].sum(dim=2).argmax(dim=1)
    assert (peaks.diff() > 0).all()  # each emotion's tone is higher than the one before


def test_votes_become_shares(data: Path) -> None:
    faces = read_ferplus(data / "ferplus", "dev")
    assert faces.emotion.tolist() == list(range(7))
    assert torch.allclose(faces.votes.sum(dim=1), torch.ones(7))
    assert torch.equal(faces.votes.argmax(dim=1), faces.emotion)
    joy = EMOTIONS.index("joy")
    assert faces.votes[joy, joy] == pytest.approx(0.8)  # 8 of 10
    bars = (faces.grey.float().mean(dim=2) > 120).float().argmax(dim=1)
    assert bars.tolist() == [6 * column for column in range(7)]  # each face from its own tile


def replace(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def save(file: Path, x: np.ndarray) -> None:
    np.savez(file, x=x)


SPOIL: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no table": ("ravdess", lambda f: (f / "labels.csv").unlink(), r"labels\.csv"),
    "no column": (
        "ravdess",
        lambda f: replace(f / "labels.csv", "label", "mood"),
        "columns label are missing",
    ),
    "no file column": (
        "ravdess",
        lambda f: replace(f / "labels.csv", "file", "path"),
        "columns file are missing",
    ),
    "no speaker": (
        "crema_d",
        lambda f: replace(f / "labels.csv", "speaker", "who"),
        "columns speaker are missing",
    ),
    "wrong label": ("ravdess", lambda f: replace(f / "labels.csv", ",joy,", ",glee,"), "'glee'"),
    "no split": (
        "crema_d",
        lambda f: replace(f / "labels.csv", "split", "part"),
        "columns split are missing",
    ),
    "no sound": ("ravdess", lambda f: (f / "0-0.flac").unlink(), r"0-0\.flac"),
    "cut sound": ("ravdess", lambda f: cut(f / "0-0.flac"), r"0-0\.flac"),
    "no samples": (
        "ravdess",
        lambda f: soundfile.write(f / "0-0.flac", np.zeros(0), 16_000),
        "0 samples|cannot read",
    ),
    "no levels": ("crema_d", lambda f: (f / "logmel64x94.npz").unlink(), "cannot read"),
    "cut levels": ("crema_d", lambda f: cut(f / "logmel64x94.npz"), "cannot read"),
    "too few levels": (
        "crema_d",
        lambda f: save(f / "logmel64x94.npz", np.zeros((3, 64, 94), np.uint8)),
        "cannot read",
    ),
    "other levels": (
        "crema_d",
        lambda f: save(f / "logmel64x94.npz", np.zeros((99, 64, 90), np.uint8)),
        "expected x",
    ),
    "nan levels": (
        "crema_d",
        lambda f: save(f / "logmel64x94.npz", np.full((99, 64, 94), np.nan)),
        "expected x",
    ),
    "row that is no number": (
        "crema_d",
        lambda f: replace(f / "labels.csv", "0,0,anger", "x,0,anger"),
        "line 2: row is 'x'; expected a whole number",
    ),
    "no picture": ("ferplus", lambda f: (f / "faces.png").unlink(), r"faces\.png"),
    "cut picture": ("ferplus", lambda f: cut(f / "faces.png"), r"faces\.png"),
    "small picture": (
        "ferplus",
        lambda f: cv2.imwrite(str(f / "faces.png"), np.zeros((48, 48), np.uint8)),
        "no face at row",
    ),
    "no votes": (
        "ferplus",
        lambda f: replace(f / "labels.csv", "fear", "fright"),
        "columns fear are missing",
    ),
    "votes in words": (
        "ferplus",
        lambda f: replace(f / "labels.csv", ",8,", ",eight,"),
        "line 2: anger is 'eight'; expected a whole number",
    ),
    "votes that are no number": (
        "ferplus",
        lambda f: replace(f / "labels.csv", ",8,", ",nan,"),
        "line 2: anger is 'nan'; expected a whole number",
    ),
    "place that is no number": (
        "ferplus",
        lambda f: replace(f / "labels.csv", "faces.png,0,0", "faces.png,x,0"),
        "line 2: row is 'x'; expected a whole number",
    ),
}


@pytest.mark.parametrize("kind", SPOIL)
def test_a_broken_corpus_is_named(own: Path, kind: str) -> None:
    corpus, spoil, message = SPOIL[kind]
    spoil(own / corpus)
    read = read_ferplus if corpus == "ferplus" else partial(read_speech, corpus)
    with pytest.raises(DataError, match=message) as caught:
        read(own / corpus, "train")
    assert str(own / corpus) in str(caught.value)
