"""The README does what it says: its code runs, its commands exist, and it stays a front door."""

import importlib
import re
import runpy
import shlex
import tomllib
from pathlib import Path

import click
import pytest

REPO = Path(__file__).parents[1]
TEXT = (REPO / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MOST_LINES = 120
MOST_NUMBERS = 40  # in 1,000 words
LEAST_PICTURES = 3
LINES_OF_CODE = 8
EXTRAS = re.compile(r"dcet\[([a-z,-]+)\]")


BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
CODE = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]


def test_it_is_short_and_holds_few_figures() -> None:
    assert len(TEXT.splitlines()) <= MOST_LINES
    numbers = re.findall(r"\d[\d.,]*", TEXT)
    assert 1000 * len(numbers) / len(TEXT.split()) <= MOST_NUMBERS


def test_every_block_is_of_a_kind_that_is_tested_below() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    assert TEXT.count("```") == 2 * len(BLOCKS)


def test_the_first_lines_of_code_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = CODE
    assert sum(bool(line.strip()) for line in code.splitlines()) <= LINES_OF_CODE
    file = tmp_path / "readme.py"
    file.write_text(code, encoding="utf-8")
    runpy.run_path(str(file))
    weights = r"{'text': 0\.\d+, 'audio': 0\.\d+, 'face': 0\.\d+}"
    assert re.fullmatch(rf"joy {weights} \d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_exists_with_its_options(line: str) -> None:
    name, *words = shlex.split(line)
    if name == "pip":
        assert words[:2] == ["install", "dcet"]
        return
    if name == "make":
        assert re.search(
            rf"^{words[0]}:", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
        )
        return
    module, _, function = PROJECT["scripts"][name].partition(":")
    command = getattr(importlib.import_module(module), function)
    if isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_every_extra_that_it_names_exists() -> None:
    named = {extra for extras in EXTRAS.findall(TEXT) for extra in extras.split(",")}
    assert named
    assert named <= PROJECT["optional-dependencies"].keys()


def test_links_lead_somewhere_and_pictures_are_there() -> None:
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)#]+)", TEXT)
    missing = [place for _, place in links if ":" not in place and not (REPO / place).exists()]
    assert missing == []
    assert sum(bool(mark) for mark, _ in links) >= LEAST_PICTURES
