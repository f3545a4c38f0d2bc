"""What full disks and odd files do to a build: errors by name, nothing half-written, it goes on."""

import errno
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import dcet.dvcea.writer
from dcet.data.dvcea import Dvcea
from dcet.dvcea.annotations import Clip
from dcet.dvcea.cli import main
from dcet.dvcea.prepare import Preparer
from dcet.dvcea.settings import BuildConfig
from dcet.runtime.errors import UnusableMedia
from tests.dvcea.test_annotations import MELD, table
from tests.dvcea.test_build import contents
from tests.live.made_media import write_clip
from tests.tiny_dvcea import write_tiny

HUGE_BYTES = 2**29


def row(utterance: int, *more: object) -> tuple[object, ...]:
    return ("we are fine", "Ann", "joy", "positive", 0, utterance, *more)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(2):
        write_clip(folder / f"dia0_utt{number}.mp4", range(0, 400, 40), seconds=0.4)
    return folder


def build(config: BuildConfig, videos: Path, annotations: Path, output: Path, *more: str) -> Result:
    settings = videos.parent / "config.json"
    settings.write_text(json.dumps(asdict(config)), encoding="utf-8")
    command = ["build", "--input", str(videos), "--annotations", str(annotations)]
    command += ["--output", str(output), "--config", str(settings), "--workers", "1", *more]
    return CliRunner().invoke(main, command)


def said(result: Result) -> str:
    """What was shown, however it was wrapped."""
    return " ".join(result.output.split())


def clip(number: int) -> Clip:
    unknown: dict[str, Any] = dict.fromkeys(
        ("emotion", "sentiment", "part_us", "start_us", "end_us")
    )
    return Clip(
        split="dev",
        dialogue="0",
        utterance=number,
        speaker="Ann",
        text="we are fine",
        source=f"dia0_utt{number}.mp4",
        **unknown,
    )


def no_space(*_args: Any, **_named: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def cut_short(folder: Path) -> None:
    data = (folder / "visual.npy").read_bytes()
    (folder / "visual.npy").write_bytes(data[:1024])


def another_schema(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    changed = json.dumps({**manifest, "schema_version": "2.0"})
    (folder / "manifest.json").write_text(changed, encoding="utf-8")


FULL: Sequence[tuple[Any, str, str]] = (  # what fails of this process, and what it was to write
    (Path, "mkdir", "set.parts"),
    (np, "savez", "set.parts/chunks/00000000.npz"),
    (dcet.dvcea.writer, "_record", "set"),
)


def test_a_full_disk_is_named_and_the_build_goes_on_once_there_is_space(
    config: BuildConfig, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table(tmp_path / "dev.csv", MELD, row(0), row(1))
    output, whole = tmp_path / "out" / "set", tmp_path / "whole" / "set"
    output.parent.mkdir()
    whole.parent.mkdir()
    for where, what, named in FULL:
        with monkeypatch.context() as patched:
            patched.setattr(where, what, no_space)
            full = build(config, videos, rows, output)
        assert full.exit_code == 2, full.output
        assert f"could not write {output.parent / named}: No space left on device" in said(full)
        assert not output.exists()
        assert list(tmp_path.rglob("*.partial")) == []
    for place in (output, whole):
        result = build(config, videos, rows, place)
        assert result.exit_code == 0, result.output
    assert contents(output) == contents(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ru_maxrss, nor sparse files")
def test_huge_files_take_no_memory(config: BuildConfig, videos: Path) -> None:
    """One is a clip with half a gigabyte behind it, one is nothing but zeros; 4 GB do the same."""
    import resource

    for number in (1, 2):
        with (videos / f"dia0_utt{number}.mp4").open("ab") as file:
            file.truncate(HUGE_BYTES)
    preparer = Preparer(videos, config, "cpu")
    small = preparer.prepare(clip(0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    large = preparer.prepare(clip(1))
    assert large.said["sound_us"] == small.said["sound_us"]
    with pytest.raises(UnusableMedia, match=r"dia0_utt2\.mp4: expected a media file"):
        preparer.prepare(clip(2))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < HUGE_BYTES / 4


def test_rows_that_cannot_be_used_are_set_aside_and_the_rest_goes_on(
    config: BuildConfig, videos: Path, tmp_path: Path
) -> None:
    rows = table(
        tmp_path / "dev.csv",
        (*MELD, "File", "Start_s", "End_s"),
        row(0, "dia0_utt0.mp4", 0, 0.3),
        row(1, "dia0_utt0.mp4", 0, 0.3),  # the same part of the same file
        row(2, "dia0_utt1.mp4", 0.3, 0.1),  # backwards
        row(3, "dia0_utt1.mp4", 0.1, 0.4),
    )
    output = tmp_path / "set"
    result = build(config, videos, rows, output)
    assert result.exit_code == 0, result.output
    assert [utterance.utterance for utterance in Dvcea.open(output)] == [0, 3]
    lines = (output / "set_aside.jsonl").read_text(encoding="utf-8").splitlines()
    twice, backwards = map(json.loads, lines)
    assert (twice["utterance"], twice["error"]) == (1, "DuplicateTurn")
    assert "the same part of a video, is in" in twice["reason"]
    assert (backwards["utterance"], backwards["error"]) == (2, "BadNumber")
    assert "it ends at 0.100 s, before it begins at 0.300 s" in backwards["reason"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut_short, r"visual\.npy: expected \d+ bytes, got 1024; copy the set again"),
        (another_schema, r"schema_version is 2\.0"),
    ],
)
@pytest.mark.parametrize("command", [["check"], ["inspect", "--html", "-"]])
def test_a_set_that_cannot_be_read_is_named_by_every_command(
    tmp_path: Path, change: Callable[[Path], None], words: str, command: list[str]
) -> None:
    folder = write_tiny(tmp_path / "tiny.dvcea", 12)
    change(folder)
    result = CliRunner().invoke(main, [command[0], str(folder), *command[1:]])
    assert result.exit_code == 2, result.output
    assert re.search(words, said(result))
