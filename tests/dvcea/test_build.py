"""From videos to a set: what is in it, what is set aside, and that stopping changes nothing."""

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcet.data.dvcea import Dvcea
from dcet.dvcea.annotations import Annotations, read_annotations
from dcet.dvcea.build import Build
from dcet.dvcea.settings import BuildConfig
from dcet.runtime.errors import ConfigError, DataError
from tests.dvcea.test_annotations import MELD, table
from tests.live.made_media import write_clip
from tests.tiny_training import Killed, Quiet, quiet

SAID = ("i am so happy", "you are not", "", "it is sad", "really now", "we are fine")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips in which nobody is, one of which is silent, one is broken."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        path = folder / f"dia{number // 3}_utt{number % 3}.mp4"
        write_clip(path, range(0, 600 + 40 * number, 40), seconds=0.0 if number == 1 else 0.8)
    broken = folder / "dia1_utt1.mp4"
    broken.write_bytes(broken.read_bytes()[:2000])
    return folder


@pytest.fixture(scope="module")
def annotations(videos: Path) -> Annotations:
    rows = [(text, "Ann", "joy", "positive", n // 3, n % 3) for n, text in enumerate(SAID)]
    return read_annotations([table(videos / "dev_rows.csv", MELD, *rows)], videos)


@pytest.fixture(scope="module")
def whole(
    videos: Path,
    annotations: Annotations,
    config: BuildConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    output = tmp_path_factory.mktemp("whole") / "set"
    Build(videos, annotations, output, config).run(quiet)
    return output


class KillAt(Quiet):
    """Progress that ends the build once so many clips are done."""

    def __init__(self, count: int) -> None:
        self.count = count

    def advance(self, done: int, total: int, message: str) -> None:
        if done == self.count:
            raise Killed


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_every_modality_that_is_there_is_encoded(whole: Path, annotations: Annotations) -> None:
    dvcea = Dvcea.open(whole)
    assert [(said.dialogue, said.utterance) for said in dvcea] == [
        ("0", 0),
        ("0", 1),
        ("0", 2),
        ("1", 0),
        ("1", 2),
    ]
    assert dvcea.counts("audio").tolist() == [4, 0, 4, 4, 4]  # 0.8 s in steps of 0.2 s
    assert dvcea.counts("text").tolist() == [1, 1, 0, 1, 1]
    assert dvcea.counts("visual").tolist() == [0] * 5
    first = dvcea[0]
    assert first.audio_us is not None
    assert first.audio_us.tolist() == [100_000, 300_000, 500_000, 700_000]
    assert (first.picture_us, first.frames, first.face_frames) == (600_000, 3, 0)
    assert first.reason == "no face was seen"
    assert (first.visual_quality, first.text_quality) == (0.0, 1.0)
    dvcea.verify()


def test_a_broken_clip_is_set_aside_with_its_reason(whole: Path) -> None:
    (line,) = (whole / "set_aside.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert (row["source"], row["dialogue"], row["utterance"]) == ("dia1_utt1.mp4", "1", 1)
    assert row["error"] == "UnusableMedia"
    assert "dia1_utt1.mp4: expected a media file" in row["reason"]


def test_strict_stops_at_it(
    videos: Path, annotations: Annotations, config: BuildConfig, tmp_path: Path
) -> None:
    build = Build(videos, annotations, tmp_path / "set", config, strict=True)
    with pytest.raises(DataError, match="dia1_utt1"):
        build.run(quiet)
    assert not (tmp_path / "set").exists()


def test_a_build_that_was_killed_goes_on_and_ends_alike(
    videos: Path, annotations: Annotations, config: BuildConfig, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "set"
    made: dict[Path, float] = {}
    for count in (3, 2):
        with pytest.raises(Killed):
            Build(videos, annotations, output, config).run(KillAt(count))
        assert not output.exists()
        for file in tmp_path.glob("set.parts/chunks/*"):
            assert made.setdefault(file, file.stat().st_mtime_ns) == file.stat().st_mtime_ns
    assert made, "a chunk was kept of what was killed"
    Build(videos, annotations, output, config).run(quiet)
    assert contents(output) == contents(whole)
    assert list(tmp_path.iterdir()) == [output]


class KillWorkers(Quiet):
    """Progress that kills all processes that decode, once."""

    def __init__(self) -> None:
        self.killed = 0

    def advance(self, done: int, total: int, message: str) -> None:
        if not self.killed:
            for process in multiprocessing.active_children():
                process.kill()
                self.killed += 1


def test_a_worker_that_dies_costs_nothing_but_time(
    videos: Path, annotations: Annotations, config: BuildConfig, whole: Path, tmp_path: Path
) -> None:
    killer = KillWorkers()
    Build(videos, annotations, tmp_path / "set", config, workers=2).run(killer)
    assert killer.killed == 2
    assert contents(tmp_path / "set") == contents(whole)


def test_shards_make_the_same_set(
    videos: Path, annotations: Annotations, config: BuildConfig, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "set"
    for shard in ((2, 2), (1, 2)):
        assert Build(videos, annotations, output, config, shard=shard).run(quiet) is None
    Build(videos, annotations, output, config, workers=2).run(quiet)
    assert contents(output) == contents(whole)


def test_parts_of_another_build_are_not_taken(
    videos: Path, annotations: Annotations, config: BuildConfig, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "set"
    with pytest.raises(Killed):
        Build(videos, annotations, output, config).run(KillAt(3))
    other = dataclasses.replace(config, steps_per_s=4)
    with pytest.raises(ConfigError, match="differs in settings, encoders"):
        Build(videos, annotations, output, other).run(quiet)
    with pytest.raises(ConfigError, match="holds a set already"):
        Build(videos, annotations, whole, config).run(quiet)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"visual_layer": 9}, "visual_layer: expected a layer from -3 to 2"),
        ({"audio_encoder": "/nowhere"}, "audio_encoder /nowhere"),
        ({"text_pooling": "sum"}, "expected mean or first, got 'sum'"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_named(
    config: BuildConfig, annotations: Annotations, tmp_path: Path, change: Any, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        Build(tmp_path, annotations, tmp_path / "x", dataclasses.replace(config, **change))


def test_faces_and_sound_of_a_talking_head_are_in_step(
    data: Path, config: BuildConfig, tmp_path: Path
) -> None:
    row = ("we are so happy", "Ann", "joy", "positive", 0, 0, "latentsync_demo1.mp4", 1, 2.2)
    rows = table(tmp_path / "dev.csv", (*MELD, "File", "Start_s", "End_s"), row)
    found = read_annotations([rows], data / "media")
    Build(data / "media", found, tmp_path / "set", config).run(quiet)
    (said,) = Dvcea.open(tmp_path / "set")
    assert (said.frames, said.face_frames, said.track) == (6, 6, 1)
    assert said.visual_us is not None
    np.testing.assert_array_equal(said.visual_us, said.audio_us)
    assert len(said.visual_us) == 6
    assert said.visual is not None
    assert said.visual.std(axis=0).max() > 0  # the face moves
    assert (said.picture_us, said.sound_us) == (1_200_000, 1_200_000)
    aside = (tmp_path / "set" / "set_aside.jsonl").read_text(encoding="utf-8")
    assert "latentsync_demo2.mp4: no row names this video" in aside


def test_encoders_of_dcet_s_own_will_do(
    videos: Path, annotations: Annotations, config: BuildConfig, tmp_path: Path
) -> None:
    own: dict[str, Any] = dict.fromkeys(
        ("visual_encoder", "audio_encoder", "text_encoder"), "default"
    )
    one = Annotations(annotations.clips[:1])
    manifest = Build(videos, one, tmp_path / "set", dataclasses.replace(config, **own)).run(quiet)
    assert manifest is not None
    assert {row["kind"] for row in manifest["encoders"].values()} == {"dcet"}
    assert manifest["arrays"]["audio"] == {"items": 1, "width": 128}
    assert manifest["licences"]["videos"] == "CC0-1.0"
    assert len(manifest["licences"]) > 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_sigkill_at_any_moment_changes_nothing(
    videos: Path, config: BuildConfig, whole: Path, tmp_path: Path
) -> None:
    settings = {name: getattr(config, name) for name in config.__slots__}
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-c", "from dcet.dvcea.cli import main; main()", "build"]
    command += ["--input", f"{videos}", "--annotations", f"{videos / 'dev_rows.csv'}"]
    command += ["--output", f"{tmp_path / 'set'}", "--config", f"{tmp_path / 'config.json'}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    draw = np.random.default_rng(0)
    begun = time.monotonic()
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(3, 12))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "set").exists():
            break
    if not (tmp_path / "set").exists():
        subprocess.run(command, env=environment, check=True, capture_output=True)
    assert contents(tmp_path / "set") == contents(whole), f"{time.monotonic() - begun:.0f} s"
