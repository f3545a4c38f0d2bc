"""The demo in a terminal, in a pipe, as data, and with something that is no bundle."""

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from dcet.runtime import Bundle, Conversation
from dcet.runtime.demo import __main__ as demo
from dcet.runtime.demo import scripted_conversation


def test_the_script() -> None:
    lines = scripted_conversation()
    speakers = [line.speaker for line in lines]
    assert len(lines) >= 24
    assert len(set(speakers)) == 3
    assert max(speakers.index(speaker) for speaker in set(speakers)) >= 10  # one joins late
    assert all(line.text.strip() == line.text != "" for line in lines)


def test_in_a_pipe(tiny: Path) -> None:
    result = CliRunner().invoke(demo.main, [str(tiny)])
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    for line in scripted_conversation():
        assert line.speaker in result.stdout
    assert result.stdout.count("─ trajectories ─") == 1  # once, not once a turn
    assert "first choice of target cpu" in result.stdout


@pytest.mark.parametrize("width", [40, 80, 160])
def test_in_a_terminal(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(demo, "PAUSE_S", 0)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system="truecolor")
    demo.play(Conversation(bundle), console)
    last = screen.getvalue().rpartition("trajectories")[2]
    assert "Noor" in last
    assert "\x1b[1;30;48;2;" in last  # cells in the colours of emotions

    plain = Console(file=io.StringIO(), width=width)
    demo.play(Conversation(bundle), plain)
    assert isinstance(plain.file, io.StringIO)
    assert max(map(len, plain.file.getvalue().splitlines())) <= width


def test_as_data(tiny: Path) -> None:
    result = CliRunner().invoke(demo.main, [str(tiny), "--json"])
    played = json.loads(result.stdout)
    assert [turn["speaker"] for turn in played["turns"]] == [
        line.speaker for line in scripted_conversation()
    ]
    trajectories = {row["speaker"]: row for row in played["trajectories"]}
    assert list(trajectories) == ["Mara", "Ilya", "Noor"]
    for turn in played["turns"]:
        row = trajectories[turn["speaker"]]
        place = row["turns"].index(turn["turn"])
        assert row["probabilities"][place] == pytest.approx(list(turn["probabilities"].values()))
        assert row["shift"][place] == turn["shift"]


def test_no_bundle(tmp_path: Path) -> None:
    result = CliRunner().invoke(demo.main, [str(tmp_path / "nowhere.dcet")])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_help_has_an_example() -> None:
    assert (
        "Example: python -m dcet.runtime.demo" in CliRunner().invoke(demo.main, ["--help"]).stdout
    )
