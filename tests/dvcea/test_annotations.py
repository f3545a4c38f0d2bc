"""Rows of CSV files and the videos that they name."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from dcet.dvcea.annotations import read_annotations
from dcet.runtime.errors import DataError, MissingColumn

MELD = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
CLOCKS = (*MELD, "StartTime", "EndTime")
PARTS = (*MELD, "File", "Start_s", "End_s")


def table(path: Path, columns: Sequence[str], *rows: Sequence[object]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def videos(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_meld_s_clips_lie_in_folders_by_split(tmp_path: Path) -> None:
    folder = videos(
        tmp_path / "videos", "train_splits/dia0_utt0.mp4", "dev_splits_complete/dia0_utt0.mp4"
    )
    row = ("Hi there!", "Ann", "Joy", "positive", 0, 0, "00:16:16,059", "0:16:21,731")
    files = [table(tmp_path / f"{name}_sent_emo.csv", CLOCKS, row) for name in ("train", "dev")]
    found = read_annotations(files, folder)
    assert [(clip.split, clip.source) for clip in found.clips] == [
        ("train", "train_splits/dia0_utt0.mp4"),
        ("dev", "dev_splits_complete/dia0_utt0.mp4"),
    ]
    clip = found.clips[0]
    assert (clip.emotion, clip.part_us) == ("joy", None)
    assert (clip.start_us, clip.end_us) == (976_059_000, 981_731_000)
    assert found.set_aside == []


def test_clips_are_sorted_by_dialogue_and_number(tmp_path: Path) -> None:
    folder = videos(tmp_path / "v", *(f"dia{d}_utt{u}.mp4" for d in (1, 2) for u in (0, 10, 2)))
    rows = [("x", "A", "joy", "positive", d, u) for d, u in [(2, 10), (1, 2), (2, 0), (1, 0)]]
    clips = read_annotations([table(tmp_path / "dev.csv", MELD, *rows)], folder).clips
    assert [(clip.dialogue, clip.utterance) for clip in clips] == [
        ("2", 0),
        ("2", 10),
        ("1", 0),
        ("1", 2),
    ]


def test_rows_may_name_parts_of_long_videos_and_lack_labels(tmp_path: Path) -> None:
    folder = videos(tmp_path / "v", "talk.mkv")
    rows = [
        ("", "A", "", "", "talk", 0, "talk.mkv", "1.5", "3"),
        ("b", "B", "fear", "", "talk", 1, "talk.mkv", "3", "4.25"),
    ]
    clips = read_annotations([table(tmp_path / "rows.csv", PARTS, *rows)], folder).clips
    assert [clip.part_us for clip in clips] == [(1_500_000, 3_000_000), (3_000_000, 4_250_000)]
    assert (clips[0].emotion, clips[0].sentiment, clips[0].text) == (None, None, None)
    assert (clips[1].emotion, clips[1].split, clips[1].start_us) == ("fear", "all", 3_000_000)


def test_what_cannot_be_used_is_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = videos(tmp_path / "v", *(f"dia0_utt{n}.mp4" for n in range(5)), "extra/dia7_utt0.MP4")
    rows = [
        ("good", "A", "joy", "positive", 0, 0, "", ""),
        ("label", "A", "bored", "positive", 0, 1, "", ""),
        ("backwards", "A", "joy", "positive", 0, 2, "00:00:02,000", "00:00:01,000"),
        ("twice", "A", "joy", "positive", 0, 0, "", ""),
        ("no file", "A", "joy", "positive", 0, 9, "", ""),
        ("number", "A", "joy", "positive", 0, "x", "", ""),
        ("clock", "A", "joy", "positive", 0, 4, "1 pm", ""),
    ]
    file = table(tmp_path / "dev.csv", CLOCKS, *rows)
    found = read_annotations([file], folder)
    assert [clip.text for clip in found.clips] == ["good"]
    reasons = {part.error: part.reason for part in found.set_aside if part.utterance != 4}
    assert [part.error for part in found.set_aside][:6] == [
        "UnknownLabel",
        "BadNumber",
        "DuplicateTurn",
        "DataNotFound",
        "BadNumber",
        "BadNumber",
    ]
    unnamed = [part.source for part in found.set_aside if "no row names" in part.reason]
    assert unnamed == ["dia0_utt1.mp4", "dia0_utt2.mp4", *unnamed[2:]]
    assert "extra/dia7_utt0.MP4" in unnamed
    assert all(str(tmp_path) not in reason for reason in reasons.values())
    for row in rows[1:]:
        one = table(tmp_path / "dev.csv", CLOCKS, rows[0], row)
        with pytest.raises(DataError, match=r"dev\.csv, line 3"):
            read_annotations([one], folder, strict=True)


def test_a_file_outside_the_folder_is_set_aside(tmp_path: Path) -> None:
    folder = videos(tmp_path / "v", "a.mp4")
    videos(tmp_path, "secret.mp4")
    rows = [("x", "A", "joy", "positive", 0, 0, "../secret.mp4", 0, 1)]
    found = read_annotations([table(tmp_path / "rows.csv", PARTS, *rows)], folder)
    assert found.clips == []
    assert found.set_aside[0].error == "PathOutside"


def test_one_part_of_a_video_is_one_utterance(tmp_path: Path) -> None:
    folder = videos(tmp_path / "v", "a.mp4")
    rows = [("x", "A", "joy", "positive", 0, n, "a.mp4", 0, 1) for n in range(2)]
    found = read_annotations([table(tmp_path / "rows.csv", PARTS, *rows)], folder)
    assert len(found.clips) == 1
    assert found.set_aside[0].error == "DuplicateTurn"


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    folder = videos(tmp_path / "v", "a.mp4")
    with pytest.raises(MissingColumn, match="Utterance_ID"):
        read_annotations([table(tmp_path / "dev.csv", MELD[:-1], "abcde")], folder)
    with pytest.raises(MissingColumn, match="Start_s"):
        read_annotations([table(tmp_path / "dev.csv", (*MELD, "File"), "abcdefg")], folder)
