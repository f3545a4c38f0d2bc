"""Pictures with what is known drawn in, and the video of them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dcet.live.events import SeenFace, SeenFaces
from dcet.live.media.media_file import MediaFile, Picture, Sound
from dcet.live.media.video_file import write_video
from dcet.live.show.draw import draw_scene
from dcet.live.show.scene import COLOURS, HELD_US, SHOWN_US, Scene
from dcet.runtime.errors import ConfigError
from tests.live.made_events import event
from tests.live.made_media import write_clip

GREY = np.full((240, 320, 3), 90, np.uint8)


def scene(*faces: SeenFace, at_us: int = 5_000_000) -> Scene:
    made = Scene()
    made.see(SeenFaces(track="camera", pts_us=at_us, faces=faces))
    made.pass_to(at_us)
    return made


def face(name: str | None, left: float = 100.0, top: float = 80.0) -> SeenFace:
    return SeenFace(track_id=7, box=(left, top, 60.0, 70.0), score=0.9, speaker=name)


def has(pixels: NDArray[np.uint8], colour: str) -> NDArray[np.bool_]:
    wanted = np.array(list(bytes.fromhex(colour[1:])), int)
    found: NDArray[np.bool_] = (np.abs(pixels.astype(int) - wanted) <= 2).all(axis=2)
    return found


def test_a_face_is_framed_in_the_colour_of_its_persons_emotion() -> None:
    made = scene(face("Ann"))
    made.hear(event(1, {"anger": 0.8}))
    drawn = draw_scene(GREY, made, "camera")
    framed = has(drawn, COLOURS["anger"])
    assert framed[150, 100:160].all()
    assert framed[80:150, 100].all()
    assert not framed[90:140, 110:150].any(), "the face itself is painted over"
    assert (GREY == 90).all(), "the picture that was given is painted on"
    assert np.array_equal(draw_scene(GREY, made, "another camera")[:200], GREY[:200])


def test_what_is_long_ago_is_not_drawn_any_more() -> None:
    made = scene(face("Ann"))
    made.hear(event(1, {"anger": 0.8}))
    made.pass_to(5_000_000 + SHOWN_US + 1)
    assert not has(draw_scene(GREY, made, "camera"), COLOURS["anger"])[150, 100:160].any()
    made.pass_to(5_000_000 + HELD_US + 1)
    assert np.array_equal(draw_scene(GREY, made, "camera"), GREY)


def test_a_voice_without_a_face_stands_at_the_foot() -> None:
    made = scene()
    made.hear(event(1, {"joy": 0.8}, speaker="voice 1"))
    drawn = has(draw_scene(GREY, made, "camera"), COLOURS["joy"])
    assert drawn[200:].any()
    assert not drawn[:200].any()


@pytest.mark.parametrize("name", ["Zoë", "李雷", "a\nb", None, "x" * 200])
@pytest.mark.parametrize("place", [(-20.0, -30.0), (300.0, 200.0), (1e6, 1e6)])
def test_any_name_anywhere_is_drawn_without_an_error(
    name: str | None, place: tuple[float, float]
) -> None:
    made = scene(face(name, *place))
    made.hear(event(1, {"joy": 0.8}, speaker=name or "voice"))
    assert draw_scene(GREY, made, "camera").shape == GREY.shape


def test_a_video_has_the_sound_of_its_file_at_its_time(tmp_path: Path) -> None:
    times_ms = [0, 40, 200, 1000, 1040, 1900]
    source = MediaFile(write_clip(tmp_path / "clip.mp4", times_ms, seconds=2.0))
    copy_path = tmp_path / "copy.mp4"
    with write_video(copy_path, source.frame_rate, sound=source) as write:
        for item in source:
            if isinstance(item, Picture):
                write(item.pts_us, item.pixels)
    items = list(MediaFile(copy_path))
    assert [round(i.pts_us / 1000) for i in items if isinstance(i, Picture)] == times_ms
    pcm = np.concatenate([item.samples for item in items if isinstance(item, Sound)])
    assert len(pcm) / 48_000 == pytest.approx(1.9, abs=0.05)
    loudness = [float(np.abs(part).mean()) for part in (pcm[4000:46_000], pcm[50_000:88_000])]
    assert loudness[1] / loudness[0] == pytest.approx(4, rel=0.1)


def test_sound_that_begins_late_begins_late_in_the_copy(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", list(range(0, 2000, 40)), seconds=1.0, late_ms=800)
    source = MediaFile(clip)
    with write_video(tmp_path / "copy.mp4", source.frame_rate, sound=source) as write:
        for item in source:
            if isinstance(item, Picture):
                write(item.pts_us, item.pixels)
    (first, *_) = (i for i in MediaFile(tmp_path / "copy.mp4") if isinstance(i, Sound))
    assert first.pts_us == pytest.approx(800_000, abs=50_000)


def test_a_picture_that_is_not_later_is_left_out(tmp_path: Path) -> None:
    with write_video(tmp_path / "copy.mp4", Fraction(25)) as write:
        for pts_us in (0, 40_000, 40_000, 20_000, 80_000):
            write(pts_us, GREY)
    assert [item.pts_us for item in MediaFile(tmp_path / "copy.mp4")] == [0, 40_000, 80_000]


@pytest.mark.parametrize("name", ["copy", "copy.txt", "copy.wav"])
def test_what_is_no_video_is_refused(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(ConfigError, match="expected the name of a video"),
        write_video(tmp_path / name, Fraction(25)) as write,
    ):
        write(0, GREY)
    assert list(tmp_path.iterdir()) == []
