"""The diagrams in the repository are those that the command draws."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPO = Path(__file__).parents[2]
NAMES = ("bundle", "finalize", "layers", "pipeline", "turn", "weights")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    subprocess.run([sys.executable, REPO / "docs" / "pictures", folder], check=True)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_in_the_repository_is_up_to_date(name: str, drawn: Path) -> None:
    kept = (REPO / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8")
    assert kept == (drawn / f"{name}.svg").read_text(encoding="utf-8"), "run: python docs/pictures"


@pytest.mark.parametrize("name", NAMES)
def test_no_words_leave_the_picture(name: str, drawn: Path) -> None:
    """A character is some 0.56 of the font size wide, and 0.61 in a font for code."""
    svg = ElementTree.parse(drawn / f"{name}.svg").getroot()
    width = float(svg.attrib["width"])
    for text in svg.iter("{http://www.w3.org/2000/svg}text"):
        character = 0.61 if "font-family" in text.attrib else 0.56
        length = character * float(text.attrib["font-size"]) * len(text.text or "")
        share = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]]
        left = float(text.attrib["x"]) - share * length
        assert left >= 0, text.text
        assert left + length <= width, text.text
