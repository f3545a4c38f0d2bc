"""What is found in data sets: each fault is made, and nothing else is found."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dcet.data.dvcea import Dvcea, DvceaUtterance
from dcet.dvcea.check import KINDS, check, known_faults
from dcet.dvcea.cli import main
from dcet.dvcea.writer import write_dvcea
from tests.tiny_dvcea import ABOUT, utterances

FRAMES = {"frames": 8, "face_frames": 8}


def clean(count: int = 8) -> list[DvceaUtterance]:
    """A set with nothing missing."""
    whole = [said for said in utterances(60) if said.visual is not None and said.audio is not None]
    return [
        dataclasses.replace(
            said,
            split="train" if place < 4 else "dev",
            dialogue=str(place // 4),
            utterance=place % 4,
            start_us=place % 4 * 2_000_000,
            end_us=place % 4 * 2_000_000 + 1_600_000,
        )
        for place, said in enumerate(whole[:count])
    ]


def found(tmp_path: Path, made: list[DvceaUtterance], **options: Any) -> list[tuple[str, str]]:
    write_dvcea(tmp_path / "set", made, ABOUT)
    return [(f.kind, f.where) for f in check(Dvcea.open(tmp_path / "set"), **options)]


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    assert found(tmp_path, clean()) == []


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("constant", {"visual": np.zeros((8, 6), np.float32)}),
        ("constant", {"audio": np.tile(np.arange(5, dtype=np.float32), (4, 1))}),
        ("constant", {"text_features": np.full(4, 0.5, np.float32)}),
        ("no-sound", {"audio": None, "audio_us": None, "sound_us": 0}),
        ("no-face", {"visual": None, "visual_us": None, "face_frames": 0}),
        ("length", {"sound_us": 3_000_000}),
        ("few-faces", {"face_frames": 3}),
        ("long", {"sound_us": 250_000_000, "picture_us": 250_000_000}),
        ("overlap", {"start_us": 3_500_000}),
        ("backwards", {"start_us": 1_900_000}),
    ],
)
def test_a_fault_is_found(tmp_path: Path, kind: str, changes: dict[str, Any]) -> None:
    made = clean()
    made[2] = dataclasses.replace(made[2], **changes)
    assert found(tmp_path, made) == [(kind, "train dialogue 0 utterance 2")]


@pytest.mark.parametrize(("place", "kind"), [(3, "duplicate"), (5, "across-splits")])
def test_the_same_video_twice_is_found_whatever_its_name(
    tmp_path: Path, place: int, kind: str
) -> None:
    made = clean()
    same = made[0].source_sha256
    made[place] = dataclasses.replace(made[place], source_sha256=same)
    assert found(tmp_path, made) == [(kind, made[place].where)]
    for name in ("visual", "audio"):
        made[place] = dataclasses.replace(made[place], **{name: getattr(made[0], name)})
    made[place] = dataclasses.replace(made[place], source_sha256="9" * 64)
    assert found(tmp_path, made) == [(kind, made[place].where)]


def test_parts_of_one_video_are_no_duplicates(tmp_path: Path) -> None:
    one: dict[str, Any] = {"source": "long.mp4", "source_sha256": "0" * 64}
    parts = [
        dataclasses.replace(said, part_start_us=said.start_us, part_end_us=said.end_us, **one)
        for said in clean(4)
    ]
    assert found(tmp_path, parts) == []


def test_times_that_nobody_noted_do_not_overlap(tmp_path: Path) -> None:
    unknown: dict[str, Any] = {"start_us": None, "end_us": None}
    assert found(tmp_path, [dataclasses.replace(said, **unknown) for said in clean()]) == []


def test_the_known_faults_of_meld_are_named_where_it_is_meld(tmp_path: Path) -> None:
    faults = known_faults()
    assert "cut short" in faults["train", "125", 3]
    assert "missing" in faults["dev", "110", 7]
    assert {("test", "38", 4), ("test", "220", 0)} <= faults.keys()
    made = clean(4)
    made = [dataclasses.replace(said, split="train", dialogue="164") for said in made]
    made.append(
        dataclasses.replace(
            clean(8)[7],
            split="train",
            dialogue="164",
            utterance=5,
            start_us=90_000_000,
            end_us=91_000_000,
        )
    )
    assert found(tmp_path, made, is_meld=True) == [("known", "train dialogue 164 utterance 5")]
    assert found(tmp_path, made) == []


def test_the_command_ends_with_1_where_something_is_wrong(tmp_path: Path) -> None:
    made = clean()
    made[2] = dataclasses.replace(made[2], start_us=3_500_000)
    write_dvcea(tmp_path / "set", made, ABOUT)
    arguments = ["check", str(tmp_path / "set")]
    result = CliRunner().invoke(main, [*arguments, "--json", str(tmp_path / "f.json")])
    assert result.exit_code == 1
    rows = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert list(rows) == list(KINDS)
    assert rows["overlap"] == [
        {"kind": "overlap", "where": "train dialogue 0 utterance 2", "detail": "by 0.10 s"}
    ]
    assert CliRunner().invoke(main, [*arguments, "--allow", "overlap"]).exit_code == 0
    assert CliRunner().invoke(main, [*arguments, "--allow", "others"]).exit_code == 2
