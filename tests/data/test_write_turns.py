"""`dcet-train turns`: what it writes is what is read again."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dcet.data.turns import LabelledTurn, Turns, read_turns
from dcet.data.write_turns import write_turns
from dcet.training.cli import main
from tests.tiny_recordings import TURNS, write_recordings

RNG = np.random.default_rng(0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "data")


def run(data: Path, output: Path, *options: object) -> Result:
    command = ["turns", "--data", data, "--output", output, *options]
    return CliRunner().invoke(main, list(map(str, command)))


def test_a_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    stereo = RNG.integers(-(2**15), 2**15, (900, 2), np.int16)
    faces = tuple(RNG.integers(0, 256, (3, 20, 30, 3), np.uint8))
    said = (
        LabelledTurn(speaker="Ann", emotion=3, text="“Ah”,\nwell…", audio=stereo, faces=faces),
        LabelledTurn(speaker="Ben", emotion=0, audio=stereo[:, 0], sample_rate_hz=8_000),
        LabelledTurn(speaker="Ann", emotion=0, faces=faces[:1]),
    )
    written = Turns("x", {"a/b": said[:2], "c": said[2:]})
    write_turns(written, tmp_path / "x", "About.")
    read = read_turns(tmp_path / "x")
    assert read.sha256 == written.sha256
    assert list(read.conversations) == ["a/b", "c"]
    assert (tmp_path / "x" / "README.txt").read_text(encoding="utf-8") == "About."


def test_the_command_writes_dialogues_with_voices_and_faces(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "turns"
    result = run(data, output, "--dialogues", 2)
    assert result.exit_code == 0, result.output
    turns = read_turns(output)
    assert turns.sha256 in result.stdout
    for part in turns.conversations.values():
        assert [(turn.speaker, turn.text) for turn in part] == [row[:2] for row in TURNS]
    assert all(turn.audio is not None and len(turn.faces) >= 1 for turn in turns)
    about = (output / "README.txt").read_text(encoding="utf-8")
    assert "constructed: MELD's text" in about
    assert "2 dialogues, seed 0: 10 turns" in about
    again = run(data, output, "--dialogues", 2)  # over the first
    assert turns.sha256 in again.stdout
    assert turns.sha256 not in run(data, output, "--dialogues", 2, "--seed", 1).stdout


def test_nothing_else_is_overwritten(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine"
    output.mkdir()
    (output / "thesis.txt").write_text("All of it.", encoding="utf-8")
    result = run(data, output)
    assert result.exit_code == 2
    assert "one with turns.jsonl" in result.stderr
    assert [file.name for file in output.iterdir()] == ["thesis.txt"]
