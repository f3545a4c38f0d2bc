"""The demo's terminal as an SVG."""

import re
from pathlib import Path
from xml.etree import ElementTree

from click.testing import CliRunner

from dcet.demo import __main__ as demo
from dcet.demo import scripted_conversation
from dcet.demo.picture import SHOWN


def test_some_turns_and_all_trajectories_are_drawn(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "demo.svg"
    result = CliRunner().invoke(demo.main, [str(tiny), "--svg", str(file)])
    assert (result.exit_code, result.stdout) == (0, "")
    picture = ElementTree.parse(file)  # well-formed
    shown = "".join(picture.getroot().itertext()).replace("\xa0", " ")
    for number, line in enumerate(scripted_conversation(), start=1):
        assert (line.text in shown) == (number in SHOWN)
    for name in ("Mara", "Ilya", "Noor", "trajectories", "⋮ 4 turns before", "⋮ 18 more turns"):
        assert name in shown
    assert not re.search(
        r"@font-face|@import|(url\(|href=)[\"']?http", file.read_text(encoding="utf-8")
    )
    CliRunner().invoke(demo.main, [str(tiny), "--svg", str(tmp_path / "again.svg")])
    assert (tmp_path / "again.svg").read_bytes() == file.read_bytes()
    nowhere = CliRunner().invoke(demo.main, [str(tiny), "--svg", str(tmp_path / "no" / "demo.svg")])
    assert nowhere.exit_code == 2
    assert "--svg" in nowhere.stderr
