"""Parts of videos by their own timestamps."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcet.dvcea.clip_media import ClipMedia
from dcet.live.media.media_file import MediaFile
from dcet.runtime.errors import DataNotFound, UnusableMedia
from tests.live.made_media import shade, write_clip

VARIABLE_MS = [0, 40, 80, 200, 240, 520, 1000, 1040, 1080, 1960]


def shades(media: ClipMedia, every_ms: int) -> dict[int, int]:
    return {
        at_us // 1000: int(pixels[24, 48, 0]) for at_us, pixels in media.pictures(every_ms * 1000)
    }


def test_pictures_are_resampled_by_time(tmp_path: Path) -> None:
    media = ClipMedia(write_clip(tmp_path / "clip.mp4", VARIABLE_MS), None)
    for at_ms, grey in shades(media, 100).items():
        shown_ms = max(time_ms for time_ms in VARIABLE_MS if time_ms <= at_ms)
        assert abs(grey - shade(shown_ms)) <= 4, at_ms
    assert media.picture_us == pytest.approx(2_840_000, abs=1000)  # the last is shown as long


def test_a_part_is_what_the_whole_has_there(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", range(0, 8000, 40), seconds=8.0)
    whole, part = ClipMedia(path, None), ClipMedia(path, (5_000_000, 6_200_000))
    greys = shades(whole, 100)
    assert shades(part, 100) == {at: greys[at + 5000] for at in range(50, 1200, 100)}
    assert part.picture_us == 1_200_000
    there, wanted = part.sound(), whole.sound().pcm[80_000:99_200]
    assert there.length_us == 1_200_000
    np.testing.assert_allclose(there.pcm[800:-800], wanted[800:-800], atol=0.02)


@pytest.mark.parametrize("times_ms", [range(0, 4000, 40), range(400, 3000, 33), VARIABLE_MS])
@pytest.mark.parametrize("part_us", [None, (700_000, 1_830_000)])
def test_pictures_that_nobody_looks_at_are_left_out_and_nothing_else_changes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    times_ms: Sequence[int],
    part_us: tuple[int, int] | None,
) -> None:
    path = write_clip(tmp_path / "clip.mp4", times_ms)
    decoded: list[int] = []
    real = MediaFile.decoded

    def counted(self: MediaFile, kind: str, **named: Any) -> Iterator[tuple[Any, int | None]]:
        decoded.append(0)
        for frame in real(self, kind, **named):
            decoded[-1] += 1
            yield frame

    monkeypatch.setattr(MediaFile, "decoded", counted)
    skipping = ClipMedia(path, part_us)
    some = list(skipping.pictures(100_000))
    monkeypatch.setattr(MediaFile, "picture_times", lambda *_: None)
    always = ClipMedia(path, part_us)
    every = list(always.pictures(100_000))
    assert [at_us for at_us, _ in some] == [at_us for at_us, _ in every]
    for (_, pixels), (_, expected) in zip(some, every, strict=True):
        np.testing.assert_array_equal(pixels, expected)
    assert skipping.picture_us == always.picture_us
    assert decoded[0] < decoded[1] or times_ms is VARIABLE_MS


def test_streams_that_begin_at_different_times_stay_in_step(tmp_path: Path) -> None:
    media = ClipMedia(write_clip(tmp_path / "c.mkv", range(400, 2000, 40), seconds=2.0), None)
    sound = media.sound()
    assert len(sound.pcm) == pytest.approx(32_000, abs=50)
    times = list(shades(media, 100))
    assert times[0] == 450
    assert media.picture_us == pytest.approx(1_600_000, abs=1000)


@pytest.mark.parametrize(("times_ms", "seconds"), [([0, 40, 80], 0.0), ([], 1.0)])
def test_one_stream_alone_will_do(tmp_path: Path, times_ms: list[int], seconds: float) -> None:
    media = ClipMedia(write_clip(tmp_path / "clip.mp4", times_ms, seconds=seconds), None)
    assert bool(len(media.sound().pcm)) == bool(seconds)
    assert bool(shades(media, 20)) == bool(times_ms)


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match="no such file"):
        ClipMedia(tmp_path / "none.mp4", None)
    (tmp_path / "text.mp4").write_text("hello", encoding="utf-8")
    with pytest.raises(UnusableMedia, match="expected a media file"):
        ClipMedia(tmp_path / "text.mp4", None)
    path = write_clip(tmp_path / "clip.mp4", range(0, 1000, 40), seconds=1.0)
    with pytest.raises(UnusableMedia, match="correct Start_s"):
        ClipMedia(path, (5_000_000, 6_000_000))
    with pytest.raises(UnusableMedia, match="at most 360 s"):
        ClipMedia(path, (0, 4_000_000_000))
    long = write_clip(tmp_path / "long.mkv", range(0, 400_000, 2000), size=(16, 16))
    with pytest.raises(UnusableMedia, match="give the parts of it"):
        ClipMedia(long, None)


def test_a_wrong_ending_is_no_matter(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", range(0, 400, 40))
    renamed = path.rename(tmp_path / "clip.mp4")
    assert len(shades(ClipMedia(renamed, None), 100)) == 4


def test_a_turned_picture_is_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", range(0, 400, 40))
    data = path.read_bytes()
    matrix = data.index(b"tkhd") + 4 + 40  # of ISO/IEC 14496-12, 8.3.2
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:matrix] + quarter + data[matrix + 36 :])
    (_, pixels), *_ = ClipMedia(path, None).pictures(100_000)
    assert pixels.shape == (64, 48, 3)  # of a picture whose left half is bright
    assert pixels[:28].min() > 200
    assert pixels[36:].max() < 150
