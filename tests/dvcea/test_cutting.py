"""Videos that nobody annotated: turns, who speaks in them, and what is set aside."""

import dataclasses
import multiprocessing
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dcet.benchmarks.live.side_by_side import side_by_side
from dcet.benchmarks.live.talking_heads import read_head
from dcet.benchmarks.live.who_speaks import HEADS, OTHERS
from dcet.data.dvcea import Dvcea
from dcet.dvcea.annotations import Told
from dcet.dvcea.build import Build
from dcet.dvcea.check import check
from dcet.dvcea.cli import main
from dcet.dvcea.cutting import cut_videos
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.speaker import find_speaker
from dcet.dvcea.turns import TurnsOfVideo
from dcet.live.events import UNKNOWN
from dcet.runtime import Bundle
from dcet.runtime.errors import ConfigError, DataError
from dcet.runtime.senses.face_finder import FaceFinder
from tests.dvcea.side_by_side_clips import RIGHT, WRONG, judge, read_truth, write_clips
from tests.dvcea.test_persons import Finder
from tests.live.made_media import write_clip
from tests.tiny_training import quiet

YUNET = "yunet_s_640_640.onnx"


@pytest.fixture
def yunet(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """YuNet, where `dcet-faces fetch` brings it."""
    faces = tmp_path / "cache" / "dcet" / "faces"
    faces.mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(
        shutil.copy(data / "face_detector" / YUNET, faces / "face_detection_yunet_2023mar.onnx")
    )


def test_people_side_by_side_are_cut_into_turns_and_told_apart(
    data: Path, yunet: Path, config: BuildConfig, tmp_path: Path
) -> None:
    finder = FaceFinder(yunet)
    heads = [
        read_head(data / "media" / name, shut_s, finder, most_s=7).another(speed=speed, gains=gains)
        for (name, shut_s), (speed, gains) in zip(HEADS.items(), OTHERS, strict=True)
    ]
    videos = tmp_path / "videos"
    clip = side_by_side(heads, 11, seed=2)
    turns = write_clips(videos, {"talk": clip})
    found = cut_videos(videos, "test", tmp_path / "kept", config, quiet, workers=1)
    Build(videos, found, tmp_path / "set", config).run(quiet)
    dvcea = Dvcea.open(tmp_path / "set")
    truth = read_truth(turns)
    judged = judge(dvcea, videos, truth)["talk.mp4"]
    assert judged[RIGHT] >= 0.95 * sum(judged.values())
    assert judged[WRONG] == 0
    assert {said.emotion for said in dvcea} == {said.sentiment for said in dvcea} == {None}
    assert {said.text for said in dvcea} == {None}
    assert {(said.split, said.dialogue) for said in dvcea} == {("test", "talk.mp4")}
    of_person: dict[int, set[str]] = {0: set(), 1: set()}
    for said in dvcea:
        assert said.start_us is not None
        assert said.end_us is not None
        middle_us = (said.start_us + said.end_us) // 2
        of_person[next(p for a, b, p in truth["talk.mp4"] if a <= middle_us < b)].add(said.speaker)
    assert sorted(map(sorted, of_person.values())) == [["person 1"], ["person 2"]]
    assert {finding.kind for finding in check(dvcea)} <= {"few-faces"}
    isolation = dvcea.manifest.value["isolation"]
    assert isolation["faces"] == "yunet"
    assert "turn_cutter" in isolation["turns"]


def test_words_are_those_of_each_turn(data: Path, config: BuildConfig) -> None:
    heard: list[int] = []

    def transcribe(pcm: np.ndarray) -> str:
        heard.append(len(pcm))
        return f"turn {len(heard)}"

    finder = FaceFinder(data / "face_detector" / YUNET)
    turns = TurnsOfVideo(config, Bundle.default(), finder, transcribe)
    found = list(turns.of(data / "media" / "latentsync_demo1.mp4"))
    assert [turn.text for turn in found] == [f"turn {n + 1}" for n in range(len(found))]
    for turn, samples in zip(found, heard, strict=True):
        assert abs(samples / 16 - (turn.end_us - turn.start_us) / 1000) < 400
    assert {turn.told.speaker for turn in found} == {"person 1"}
    assert all(turn.told.sights for turn in found)


@pytest.mark.parametrize(
    ("speaker", "sights", "frames", "reason"),
    [
        ("person 3", ((60_000, 0.375, 0.3),), 2, "told"),
        ("person 3", ((60_000, 0.9, 0.3),), 0, "told, but was not found again"),
        ("voice 1", (), 0, "told"),
        (UNKNOWN, (), 2, "the only person seen; told"),
    ],
)
def test_the_face_of_a_clip_is_that_of_the_video(
    config: BuildConfig,
    speaker: str,
    sights: tuple[tuple[int, float, float], ...],
    frames: int,
    reason: str,
) -> None:
    """A voice that has no face is not given the only face that is seen."""
    frame = np.full((100, 160, 3), 200, np.uint8)
    pictures = [(50_000, frame), (150_000, frame), (250_000, frame)]
    told = Told(speaker, 0.9, "told", sights)
    always = dataclasses.replace(config, steps_per_search=1)
    faces = find_speaker(pictures, None, 300_000, always, Finder(), told=told)
    assert (faces.face_frames, faces.reason) == (frames, reason)


def test_what_cannot_be_cut_is_set_aside_once(config: BuildConfig, tmp_path: Path) -> None:
    videos, kept = tmp_path / "videos", tmp_path / "kept"
    videos.mkdir()
    write_clip(videos / "a.mp4", range(0, 400, 40), seconds=0.4)
    (videos / "b.mkv").write_text("no video", encoding="utf-8")
    (videos / "c.txt").write_text("no video", encoding="utf-8")
    found = cut_videos(videos, "train", kept, config, quiet, workers=2)
    assert found.clips == []
    assert [(part.source, part.error) for part in found.set_aside] == [
        ("a.mp4", "UnusableMedia"),
        ("b.mkv", "UnusableMedia"),
    ]
    assert "no voice is heard" in found.set_aside[0].reason
    assert str(tmp_path) not in found.set_aside[1].reason
    made = {file: file.stat().st_mtime_ns for file in kept.iterdir()}
    with pytest.raises(DataError, match=r"no voice is heard .*--strict"):
        cut_videos(videos, "train", kept, config, quiet, workers=1, strict=True)
    assert {file: file.stat().st_mtime_ns for file in kept.iterdir()} == made


def test_what_is_no_recogniser_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos" / "a.mp4", [0, 40], seconds=0.2)
    config = BuildConfig(asr=str(tmp_path))
    with pytest.raises(ConfigError, match=r"the model .* cannot be loaded"):
        cut_videos(tmp_path / "videos", "x", tmp_path / "kept", config, quiet, workers=1)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_video_that_no_process_outlives_is_set_aside(config: BuildConfig, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos" / "a.mp4", [0, 40], seconds=0.2)
    killed, is_over = set[int | None](), threading.Event()

    def kill() -> None:
        while not is_over.wait(0.02):
            for process in multiprocessing.active_children():
                killed.add(process.pid)
                process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = cut_videos(tmp_path / "videos", "x", tmp_path / "kept", config, quiet, workers=1)
    finally:
        is_over.set()
        killer.join()
    assert len(killed) == 2, "it was tried again"
    assert "the process that cut it into turns died" in found.set_aside[0].reason


def test_a_folder_without_videos_is_named(config: BuildConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no video"):
        cut_videos(tmp_path, "train", tmp_path / "kept", config, quiet, workers=1)


def test_annotations_say_the_split_and_the_words(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.touch()
    for option in ("--split", "--asr"):
        arguments = ["build", "--input", str(tmp_path), "--annotations", str(rows)]
        result = CliRunner().invoke(main, [*arguments, "--output", f"{tmp_path}/x", option, "dev"])
        assert result.exit_code == 2
        assert f"{option} is for videos without --annotations" in result.stderr
