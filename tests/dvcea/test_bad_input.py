"""A folder with everything in it that goes wrong, as a user gives it: what can be used is, the
rest is named."""

import dataclasses
import json
import struct
from pathlib import Path

import av
import pytest
from click.testing import CliRunner, Result

from dcet.data.dvcea import Dvcea
from dcet.dvcea.cli import main
from dcet.dvcea.settings import BuildConfig
from dcet.runtime.senses.face_finder import FaceFinder
from tests.dvcea.test_annotations import CLOCKS, PARTS, table
from tests.live.made_media import write_clip

VARIABLE_MS = [0, 40, 200, 240, 520, 600]


def clock(second: float) -> str:
    return f"00:00:{int(second):02d},{round(second % 1 * 1000):03d}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")

    def clip(number: int) -> Path:
        return folder / f"dia0_utt{number}.mp4"

    write_clip(clip(0), VARIABLE_MS, seconds=0.7)  # B-frames at a variable rate
    write_clip(clip(1), [], seconds=0.8)
    write_clip(clip(2), range(0, 600, 40))
    with av.open(str(clip(3)), "w") as container:
        container.add_stream("libx264", rate=25, width=64, height=48)
        container.start_encoding()  # and nothing is encoded
    clip(4).write_text("no video", encoding="utf-8")
    write_clip(folder / "turned.mp4", range(0, 600, 40), seconds=0.6).rename(clip(5))
    _turn(clip(5))
    write_clip(folder / "other.mkv", range(0, 600, 40), seconds=0.6).rename(clip(6))
    write_clip(clip(8), range(0, 400, 40), seconds=0.4)
    write_clip(folder / "dia9_utt9.mp4", range(0, 400, 40), seconds=0.4)
    rows = [
        (f"turn {n}", "A", "bored" if n == 8 else "joy", "positive", 0, n, clock(n), clock(n + 1.5))
        for n in range(9)
    ]
    table(folder / "dev.csv", CLOCKS, *rows)
    return folder


def _turn(path: Path) -> None:
    """Say that a video is to be shown turned by a quarter (ISO/IEC 14496-12, 8.3.2)."""
    data = path.read_bytes()
    matrix = data.index(b"tkhd") + 4 + 40
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:matrix] + quarter + data[matrix + 36 :])


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(main, [command, *map(str, arguments)])


def build(folder: Path, annotations: Path, output: Path, config: BuildConfig, *more: str) -> Result:
    settings = output.with_suffix(".json")
    settings.write_text(json.dumps(dataclasses.asdict(config)), encoding="utf-8")
    arguments = ("--input", folder, "--annotations", annotations, "--output", output)
    return run("build", *arguments, "--config", settings, "--workers", 2, *more)


def test_what_can_be_used_is_and_the_rest_is_named(
    folder: Path, config: BuildConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # no detector was fetched
    result = build(folder, folder / "dev.csv", tmp_path / "set", config)
    assert result.exit_code == 0, result.stderr
    assert "5 utterances of 1 dialogues; 6 clips were set aside" in result.stdout
    assert FaceFinder().degraded  # no better detector is here
    assert [f"faces are {note}" in result.stderr for note in FaceFinder().degraded] == [True]
    lines = (tmp_path / "set" / "set_aside.jsonl").read_text(encoding="utf-8").splitlines()
    aside = {(row["utterance"], row["source"]): row for row in map(json.loads, lines)}
    reasons = {
        (7, None): "there is no file dia0_utt7.mp4",
        (8, None): "Emotion is 'bored'",
        (None, "dia9_utt9.mp4"): "no row names this video",
        (3, "dia0_utt3.mp4"): "dia0_utt3.mp4: ",
        (4, "dia0_utt4.mp4"): "expected a media file",
    }
    for key, words in reasons.items():
        assert words in aside.pop(key)["reason"]
    assert not {key for key in aside if "dia0_utt8" not in str(key)}
    said = {each.utterance: each for each in Dvcea.open(tmp_path / "set")}
    assert sorted(said) == [0, 1, 2, 5, 6]
    assert (said[1].picture_us, said[1].frames, said[1].reason) == (0, 0, "there are no pictures")
    assert (said[2].sound_us, said[2].audio) == (0, None)
    assert said[0].picture_us == pytest.approx(680_000, abs=1000)
    found = run("check", tmp_path / "set")
    assert found.exit_code == 1
    assert "overlap" in found.stdout
    assert "no-sound" in found.stdout


def test_strict_stops_at_the_first_and_writes_nothing(
    folder: Path, config: BuildConfig, tmp_path: Path
) -> None:
    result = build(folder, folder / "dev.csv", tmp_path / "set", config, "--strict")
    assert result.exit_code == 2
    assert "dev.csv, line 9" in result.stderr
    assert not (tmp_path / "set").exists()


def test_times_of_parts_that_overlap_are_found_afterwards(
    folder: Path, config: BuildConfig, tmp_path: Path
) -> None:
    rows = [
        ("a", "A", "", "", "talk", 0, "dia0_utt5.mp4", 0, 0.4),
        ("b", "A", "", "", "talk", 1, "dia0_utt5.mp4", 0.2, 0.6),
        ("c", "A", "", "", "talk", 2, "dia0_utt5.mp4", 9, 10),
        ("d", "A", "", "", "talk", 3, "dia0_utt5.mp4", 0.5, 0.1),
    ]
    annotations = table(tmp_path / "parts.csv", PARTS, *rows)
    result = build(folder, annotations, tmp_path / "set", config)
    assert result.exit_code == 0, result.stderr
    aside = (tmp_path / "set" / "set_aside.jsonl").read_text(encoding="utf-8")
    assert "before it begins" in aside
    assert "before the part that begins at 9.0 s" in aside
    overlaps = run("check", tmp_path / "set", "--json", "-")
    assert [f["detail"] for f in json.loads(overlaps.stdout)["overlap"]] == ["by 0.20 s"]


def test_no_label_at_all_is_named_by_fit(folder: Path, config: BuildConfig, tmp_path: Path) -> None:
    from dcet.training.cli import main as train

    rows = [
        ("a", "A", "", "", split, 0, "dia0_utt5.mp4", at_s, at_s + 0.2, split)
        for at_s, split in ((0, "train"), (0.3, "dev"))
    ]
    annotations = table(tmp_path / "parts.csv", (*PARTS, "Split"), *rows)
    assert build(folder, annotations, tmp_path / "set", config).exit_code == 0
    arguments = ["fit", "--dvcea", f"{tmp_path / 'set'}", "--output", f"{tmp_path / 'run'}"]
    result = CliRunner().invoke(train, [*arguments, "--text-encoder", config.text_encoder])
    assert result.exit_code == 2
    assert "expected labels in the split train, got none" in result.stderr
