"""Clips prepared by tasks of Ray: the same set, also where one of its processes is killed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dcet.dvcea.annotations import read_annotations
from dcet.dvcea.build import Build
from dcet.dvcea.ray_workers import RayWorkers
from dcet.dvcea.settings import BuildConfig
from dcet.runtime.errors import ConfigError, WriteError
from tests.dvcea.test_annotations import MELD, table
from tests.dvcea.test_build import contents
from tests.live.made_media import write_clip
from tests.tiny_training import quiet

pytest.importorskip("ray")
COUNT = 24


def tasks_of(ancestor: int) -> list[int]:
    """The processes of Ray under a process that prepare a clip."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                status = (folder / "status").read_text(encoding="utf-8")
                names[int(folder.name)] = (folder / "cmdline").read_text(encoding="utf-8")
            except OSError:
                continue
            parents[int(folder.name)] = int(status.partition("PPid:")[2].split()[0])

    def is_under(pid: int) -> bool:
        return pid == ancestor or (pid in parents and is_under(parents[pid]))

    found = [pid for pid, name in names.items() if name.startswith("ray::prepare_anywhere")]
    return [pid for pid in found if is_under(pid)]


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are found in /proc")
def test_a_task_that_is_killed_is_done_again(config: BuildConfig, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(COUNT):
        path = videos / f"dia0_utt{number}.mp4"
        write_clip(path, range(0, 2000 + 40 * number, 40), seconds=2.0, size=(320, 240))
    rows = [("we are fine", "Ann", "joy", "positive", 0, number) for number in range(COUNT)]
    annotations = table(tmp_path / "dev.csv", MELD, *rows)
    Build(videos, read_annotations([annotations], videos), tmp_path / "set", config).run(quiet)
    settings = {name: getattr(config, name) for name in config.__slots__}
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    output = tmp_path / "ray" / "set"
    command = [sys.executable, "-c", "from dcet.dvcea.cli import main; main()", "build"]
    command += ["--input", f"{videos}", "--annotations", f"{annotations}", "--engine", "ray"]
    command += ["--config", f"{tmp_path / 'config.json'}", "--output", f"{output}"]
    environment, killed = {**os.environ, "OMP_NUM_THREADS": "1"}, 0
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen([*command, "--workers", "2"], env=environment, stderr=errors)
        while process.poll() is None:
            if not killed and (tasks := tasks_of(process.pid)):
                os.kill(tasks[0], signal.SIGKILL)
                killed += 1
            time.sleep(0.02)
    assert process.returncode == 0, (tmp_path / "errors").read_text(encoding="utf-8")
    assert killed == 1
    assert contents(output) == contents(tmp_path / "set")


def test_a_full_disk_is_named(config: BuildConfig, tmp_path: Path) -> None:
    """What tasks raise arrives as it was raised: in one sentence."""
    write_clip(tmp_path / "dia0_utt0.mp4", range(0, 400, 40), seconds=0.4)
    rows = [("we are fine", "Ann", "joy", "positive", 0, 0)]
    found = read_annotations([table(tmp_path / "dev.csv", MELD, *rows)], tmp_path)
    workers = RayWorkers(tmp_path, config, "cpu", 1)
    nowhere = tmp_path / "nowhere" / "00000000.npz"
    with (
        workers.preparing([(found.clips[0], nowhere)]) as ready,
        pytest.raises(WriteError, match=f"^could not write {nowhere}: No such file"),
    ):
        ready(nowhere)


def test_persons_on_gpus_need_a_cluster_with_some(config: BuildConfig, tmp_path: Path) -> None:
    workers = RayWorkers(tmp_path, dataclasses.replace(config, persons="some"), "cuda", 1)
    with (
        pytest.raises(ConfigError, match="expected a Ray cluster with GPUs, it has none"),
        workers.preparing([]),
    ):
        pass
