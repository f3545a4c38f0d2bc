"""Cameras and microphones: fakes, for there are none here."""

import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dcet.live import run
from dcet.live.media import capture
from dcet.live.media.capture import DeviceLost, Feeder, open_camera, open_microphone
from dcet.live.run import follow
from dcet.live.show import window
from dcet.live.show.scene import Scene
from dcet.live.show.view import TerminalView
from dcet.live.show.watcher import Watcher
from dcet.runtime.errors import ConfigError
from tests.live.fake_session import FakeSession
from tests.live.made_events import event
from tests.live.made_media import write_clip

BLOCK = (np.zeros(480, np.float32), 48_000)
FRAME = np.zeros((48, 64, 3), np.uint8)
FAKE: Any = FakeSession


def device(given: Any, every_s: float, count: int = 10**6) -> Callable[[str], Iterator[Any]]:
    def opened(name: str) -> Iterator[Any]:
        def give() -> Iterator[Any]:
            for _ in range(count):
                time.sleep(every_s)
                yield given
            raise DeviceLost(f"{name} was unplugged")

        return give()

    return opened


def watcher() -> Watcher:
    scene = Scene()
    return Watcher(TerminalView(Console(file=StringIO()), scene), scene, None)


def wait_for(true: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "open_microphone", device(BLOCK, 0.01))
    monkeypatch.setattr(run, "open_camera", device(FRAME, 0.04))
    monkeypatch.setattr(capture, "RETRY_S", 0.05)


def test_a_session_is_fed_in_media_time_from_the_start(devices: None) -> None:
    session = FAKE()
    watched = watcher()
    session.waiting.append(event(1, {"joy": 0.8}))
    notes = follow(session, watched, camera="0", microphone="default", seconds=0.5)
    assert session.is_closed
    assert watched.record.turns[1].speaker == "Ann"
    for kind, track, at_least in (("audio", "mic", 10), ("bgr", "camera", 4)):
        times_us = [pts for what, of, pts, _ in session.pushed if (what, of) == (kind, track)]
        assert len(times_us) >= at_least
        assert times_us == sorted(times_us)
        assert -20_000 < times_us[0] < times_us[-1] < 3_000_000
    assert [note for note in notes if "unplugged" in note] == []


def test_a_device_that_is_unplugged_is_named_and_found_again(
    monkeypatch: pytest.MonkeyPatch, devices: None
) -> None:
    given: list[float] = []
    opened = device(BLOCK, 0.001, count=5)
    feeder = Feeder("mic", lambda: opened("the microphone"), lambda _, now_s: given.append(now_s))
    wait_for(lambda: len(given) > 12)
    feeder.close()
    assert feeder.notes[:2] == ["mic: the microphone was unplugged"] * 2


def test_a_device_that_is_not_there_at_first_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "open_camera", device(FRAME, 0.04))
    with pytest.raises(ConfigError, match="microphone 'nowhere': it cannot be opened"):
        follow(FAKE(), watcher(), camera="0", microphone="nowhere", seconds=1)
    with pytest.raises(ConfigError, match="camera '/nowhere': it cannot be opened"):
        open_camera("/nowhere")


def test_a_film_can_stand_in_for_a_camera(tmp_path: Path) -> None:
    """OpenCV's and PyAV's readers are real here; the devices are not."""
    path = write_clip(tmp_path / "clip.mp4", [0, 40, 80])
    frames = open_camera(str(path))
    assert next(frames).shape == (48, 64, 3)
    with pytest.raises(DeviceLost, match="no more pictures"):
        list(frames)


def test_sound_comes_from_what_ffmpeg_calls_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "clip.mkv", [], seconds=0.5)
    monkeypatch.setitem(capture.MICROPHONES, sys.platform, ("matroska", str(tmp_path) + "/{}"))
    blocks = open_microphone("clip.mkv")
    samples, rate_hz = next(blocks)
    assert samples.dtype == np.float32
    assert (samples.ndim, rate_hz) == (1, 44_100)
    with pytest.raises(DeviceLost, match="no more sound"):
        list(blocks)


def test_a_system_without_microphones_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(ConfigError, match="knows none on plan9"):
        open_microphone("default")


class FakeWindows:
    """OpenCV with windows."""

    WINDOW_NORMAL = 0
    error = RuntimeError

    def __init__(self, key: int) -> None:
        self.key = key
        self.shown: list[Any] = []

    def namedWindow(self, title: str, flags: int) -> None:
        assert title

    def imshow(self, title: str, pixels: Any) -> None:
        self.shown.append(pixels.copy())

    def waitKey(self, wait_ms: int) -> int:
        return self.key

    def destroyWindow(self, title: str) -> None:
        self.shown.append(None)


@pytest.mark.parametrize("key", [ord("q"), 27, -1])
def test_a_window_shows_the_picture_and_q_ends(
    monkeypatch: pytest.MonkeyPatch, devices: None, key: int
) -> None:
    fake = FakeWindows(key)
    monkeypatch.setattr(window, "need", lambda module, extra: fake)
    started_s = time.monotonic()
    notes = follow(FAKE(), watcher(), camera="0", microphone=None, seconds=2 if key < 0 else 60)
    assert time.monotonic() - started_s < 30
    assert notes == []
    assert fake.shown[0].shape == FRAME.shape
    assert fake.shown[-1] is None, "the window stays open"


def test_without_windows_it_is_said_what_to_do(
    monkeypatch: pytest.MonkeyPatch, devices: None
) -> None:
    def no_window(title: str, flags: int) -> None:
        raise RuntimeError("The function is not implemented")

    fake = FakeWindows(-1)
    monkeypatch.setattr(fake, "namedWindow", no_window)
    monkeypatch.setattr(window, "need", lambda module, extra: fake)
    notes = follow(FAKE(), watcher(), camera="0", microphone=None, seconds=0.2)
    assert notes == [window.NO_WINDOW]
    assert fake.shown == []
