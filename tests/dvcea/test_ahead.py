"""Clips are prepared ahead of the encoders, but not too far ahead: what waits takes disk."""

import importlib.util
import time
from pathlib import Path

import pytest

from dcet.dvcea.annotations import read_annotations
from dcet.dvcea.build import Build
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.workers import AHEAD
from tests.dvcea.test_annotations import MELD, table
from tests.live.made_media import write_clip
from tests.tiny_training import Quiet

COUNT = 16
SLOW_S = 0.3  # an utterance, of the encoders: many more clips are prepared in that time


class Slow(Quiet):
    """Progress that holds the encoders up, and notes how many clips wait for them."""

    def __init__(self, prepared: Path) -> None:
        self.prepared, self.waiting = prepared, list[int]()

    def advance(self, done: int, total: int, message: str) -> None:
        time.sleep(SLOW_S)
        self.waiting.append(len(list(self.prepared.glob("*.npz"))))


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_what_waits_is_bounded(config: BuildConfig, tmp_path: Path, engine: str) -> None:
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(COUNT):
        write_clip(videos / f"dia0_utt{number}.mp4", range(0, 200, 40), seconds=0.2)
    rows = [("we are fine", "Ann", "joy", "positive", 0, number) for number in range(COUNT)]
    found = read_annotations([table(tmp_path / "dev.csv", MELD, *rows)], videos)
    slow = Slow(tmp_path / "set.parts" / "prepared")
    Build(videos, found, tmp_path / "set", config, workers=1, engine=engine).run(slow)
    at_once = config.utterances_at_once
    # those that may be begun, and those of the group that is being encoded
    assert max(slow.waiting) <= AHEAD * at_once + 1 + at_once < COUNT
