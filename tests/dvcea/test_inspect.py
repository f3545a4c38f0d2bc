"""The page of a set."""

import dataclasses
import re
from pathlib import Path

from click.testing import CliRunner

from dcet.dvcea.annotations import read_annotations
from dcet.dvcea.build import Build
from dcet.dvcea.cli import main
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.writer import write_dvcea
from tests.dvcea.test_annotations import MELD, table
from tests.tiny_dvcea import ABOUT, utterances, write_tiny
from tests.tiny_training import quiet


def page_of(folder: Path, tmp_path: Path, *options: str) -> str:
    html = tmp_path / "page.html"
    result = CliRunner().invoke(main, ["inspect", str(folder), "--html", str(html), *options])
    assert result.exit_code == 0, result.output
    return html.read_text(encoding="utf-8")


def test_counts_faults_and_what_was_set_aside_are_shown(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "tiny.dvcea")
    page = page_of(folder, tmp_path, "--most", "7", "--split", "dev")
    assert re.findall(r"<b>(\w+) dialogue", page) == ["dev"] * 7
    assert "48 utterances of 12 dialogues; 1 clips were set aside" in page
    assert '<td>dev</td><td class="number">3</td><td class="number">12</td>' in page
    assert "no-face: the only face" in page
    assert "<td>x.mp4</td><td></td><td>UnusableMedia</td>" in page
    assert '<th class="number">not labelled</th>' in page
    assert "<img" not in page


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "tiny.dvcea")
    arguments = ["inspect", str(folder), "--html", str(tmp_path / "x"), "--split", "test"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "expected one of train, dev" in result.stderr


def test_what_people_say_is_text(tmp_path: Path) -> None:
    (said,) = utterances(1)
    write_dvcea(
        tmp_path / "set", [dataclasses.replace(said, text="<script>", speaker="A&B")], ABOUT
    )
    page = page_of(tmp_path / "set", tmp_path)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "A&amp;B" in page


def test_a_clip_is_shown_with_its_faces(data: Path, config: BuildConfig, tmp_path: Path) -> None:
    row = ("we are so happy", "Ann", "joy", "positive", 0, 0, "latentsync_demo1.mp4", 1, 2)
    rows = table(tmp_path / "dev.csv", (*MELD, "File", "Start_s", "End_s"), row)
    found = read_annotations([rows], data / "media")
    Build(data / "media", found, tmp_path / "set", config).run(quiet)
    page = page_of(tmp_path / "set", tmp_path, "--videos", str(data / "media"))
    assert len(re.findall("data:image/jpeg;base64,", page)) == 5
    assert len(re.findall("<rect", page)) == 240
    page = page_of(tmp_path / "set", tmp_path, "--videos", str(tmp_path))
    assert "latentsync_demo1.mp4: there is no such file" in page
