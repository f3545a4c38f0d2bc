"""How fast a build is, beside a plain loop: all figures in one report, and nothing left behind."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import cv2
import pytest
import torch
from click.testing import CliRunner

from dcet.dvcea.cli import main
from dcet.dvcea.rate import _one_core
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.stopwatch import Stopwatch
from tests.dvcea.test_annotations import MELD, table
from tests.live.made_media import write_clip

COUNT = 3


def test_a_stage_within_another_counts_for_itself_alone() -> None:
    watch = Stopwatch()

    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.02)
            yield number

    with watch.of("outer"):
        for _ in watch.each("inner", slow()):
            pass
    assert watch.took_s["inner"] >= 0.06
    assert 0 < watch.took_s["outer"] < watch.took_s["inner"]


def test_a_report_of_rates_by_stage(
    config: BuildConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, temporary = tmp_path / "videos", tmp_path / "tmp"
    videos.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    for number in range(COUNT):
        write_clip(videos / f"dia0_utt{number}.mp4", range(0, 400, 40), seconds=0.4)
    rows = [("we are fine", "Ann", "joy", "positive", 0, number) for number in range(COUNT)]
    annotations = table(tmp_path / "dev.csv", MELD, *rows)
    (tmp_path / "config.json").write_text(json.dumps(asdict(config)), encoding="utf-8")
    command = ["rate", "--input", str(videos), "--annotations", str(annotations), "--most", "2"]
    command += ["--config", str(tmp_path / "config.json"), "--workers", "1"]
    report = tmp_path / "rate.json"
    result = CliRunner().invoke(main, [*command, "--json", str(report)])
    assert result.exit_code == 0, result.output
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["schema"] == "dcet-dvcea/rate/1"
    assert (found["utterances"], found["workers"]) == (2, 1)
    assert found["media_s"] == pytest.approx(0.8, abs=0.1)  # whole frames of sound
    loops = ["plain_loop", "same_search_loop"]
    loops += ["one_core_loop"] if hasattr(os, "sched_setaffinity") else []
    for loop in loops:
        assert set(found[loop]["stages_s"]) == {"decode", "hear", "faces", "encode", "write"}
        by_stage_s = sum(found[loop]["stages_s"].values())
        assert 0 < by_stage_s < 60 / found[loop]["per_minute"]
    assert set(found["build_stages_s"]) == {"wait", "encode"}
    for loop in set(loops) - {"same_search_loop"}:
        ratio = found["build_per_minute"] / found[loop]["per_minute"]
        assert found[f"times_{loop}"] == pytest.approx(ratio)
    assert found["all_hours"] == pytest.approx(COUNT / found["build_per_minute"] / 60)
    assert found["limit"] in {"decode", "hear", "faces", "encode"}
    assert f"Limited by: {found['limit']}" in " ".join(result.output.split())
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold to cores")
def test_a_loop_on_one_core_stays_there_and_gives_the_others_back() -> None:
    def held() -> tuple[set[int], int, int]:
        return os.sched_getaffinity(0), cv2.getNumThreads(), torch.get_num_threads()

    before = held()
    with _one_core():
        cores, *threads = held()
        assert (len(cores), threads) == (1, [1, 1])
    assert held() == before
