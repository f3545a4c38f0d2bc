"""Files played into a session as if they were live."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dcet.live.media.media_file import MediaFile, Picture
from dcet.live.media.subtitles import Said
from dcet.live.replay import play, track_names
from tests.live.fake_session import FakeSession
from tests.live.made_events import event
from tests.live.made_media import write_clip

SAID = Said(start_us=500_000, end_us=1_000_000, text="hello", speaker="Ann")


def played(files: list[MediaFile], said: tuple[Said, ...] = (), **settings: Any) -> FakeSession:
    session: Any = FakeSession()
    options: dict[str, Any] = {
        "is_real_time": False, "on_event": lambda event: None, "on_picture": lambda *shown: None,
    }  # fmt: skip
    play(files, said, session, **options | settings)
    return session  # type: ignore[no-any-return]


def test_everything_is_pushed_when_it_would_be_known(tmp_path: Path) -> None:
    clip = MediaFile(write_clip(tmp_path / "room.mp4", list(range(0, 2000, 40)), seconds=2.0))
    voice = MediaFile(write_clip(tmp_path / "ann.mkv", [], seconds=2.0, rate_hz=48_000))
    session = played([clip, voice], (SAID,))
    assert {of for what, of, *_ in session.pushed if what == "audio"} == {"room", "ann"}
    assert {of for what, of, *_ in session.pushed if what == "rgb"} == {"room"}
    rates_hz = {"room": 44_100, "ann": 48_000}
    known_us = [
        pts_us + count * 1e6 / rates_hz[of] if what == "audio" else pts_us
        for what, of, pts_us, count in session.pushed
        if what != "text"
    ]
    assert all(later >= known - 2 for known, later in pairwise(known_us))
    (place,) = [n for n, pushed in enumerate(session.pushed) if pushed[0] == "text"]
    assert session.pushed[place] == ("text", "Ann", 500_000, 5)
    assert known_us[place - 1] <= 1_000_000 <= known_us[place]
    assert session.is_closed


def test_two_files_of_one_name_are_two_tracks(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [tmp_path / "cam.mkv", tmp_path / "b" / "cam.mkv", tmp_path / "b" / "cam.wav"]
    files = [MediaFile(write_clip(path, [], seconds=0.1)) for path in paths]
    assert track_names(files) == ["cam", "cam 2", "cam 3"]


def test_events_and_pictures_are_told_as_they_come(tmp_path: Path) -> None:
    clip = MediaFile(write_clip(tmp_path / "room.mp4", [0, 40, 80], seconds=0.2))
    told: list[Any] = []
    session: Any = FakeSession()
    session.waiting.extend([event(1, {"joy": 0.8}), event(2, {"joy": 0.8})])

    def show(track: str, picture: Picture) -> None:
        told.append((track, picture.pts_us))

    play([clip], (), session, is_real_time=False, on_event=told.append, on_picture=show)
    assert [each.turn_id for each in told[:2]] == [1, 2]
    assert told[2:] == [("room", 0), ("room", 40_000), ("room", 80_000)]


def test_real_time_takes_as_long_as_the_file(tmp_path: Path) -> None:
    clip = MediaFile(write_clip(tmp_path / "room.mp4", list(range(0, 1000, 40)), seconds=1.0))
    took_s = []
    for is_real_time in (True, False):
        started_s = time.monotonic()
        played([clip], is_real_time=is_real_time)
        took_s.append(time.monotonic() - started_s)
    assert took_s[0] > 0.9
    assert took_s[1] < took_s[0]


def test_events_are_told_while_nothing_comes(tmp_path: Path) -> None:
    """One picture, and another a second later: what the session says between is told between."""
    clip = MediaFile(write_clip(tmp_path / "room.mp4", [0, 1000]))
    session: Any = FakeSession()
    told_s: list[float] = []
    started_s = time.monotonic()

    def show(track: str, picture: Picture) -> None:
        if picture.pts_us == 0:
            session.waiting.append(event(1, {"joy": 0.8}))

    play(
        [clip], (), session,
        is_real_time=True,
        on_event=lambda _: told_s.append(time.monotonic() - started_s),
        on_picture=show,
    )  # fmt: skip
    assert told_s[0] < 0.9 < time.monotonic() - started_s


def test_in_real_time_pictures_do_not_hold_up_the_sound(tmp_path: Path) -> None:
    clip = MediaFile(write_clip(tmp_path / "room.mp4", list(range(0, 1000, 40)), seconds=1.0))
    shown: list[int] = []

    def draw(track: str, picture: Picture) -> None:
        time.sleep(0.3)
        shown.append(picture.pts_us)

    started_s = time.monotonic()
    session = played([clip], is_real_time=True, on_picture=draw)
    assert time.monotonic() - started_s < 25 * 0.3 / 2
    assert 1 <= len(shown) < 12
    assert len([what for what, *_ in session.pushed if what == "rgb"]) == 25


@pytest.mark.parametrize("count", [1, 3])
def test_the_same_files_are_pushed_the_same_way_again(tmp_path: Path, count: int) -> None:
    files = [
        MediaFile(write_clip(tmp_path / f"{n}.mp4", [0, 40, 80], seconds=0.2)) for n in range(count)
    ]
    assert played(files).pushed == played(files).pushed
