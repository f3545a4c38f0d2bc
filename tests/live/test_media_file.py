"""Files of media played by their own times."""

import tracemalloc
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from dcet.live.media.media_file import MediaFile, Picture, Sound
from dcet.runtime.errors import DataNotFound, UnusableMedia
from tests.live.made_media import shade, tone, write_clip

VARIABLE_MS = [0, 40, 80, 200, 240, 520, 1000, 1040, 1080, 1960]


def pictures(path: Path) -> list[Picture]:
    return [item for item in MediaFile(path) if isinstance(item, Picture)]


def sounds(path: Path) -> list[Sound]:
    return [item for item in MediaFile(path) if isinstance(item, Sound)]


def test_pictures_of_a_variable_rate_with_b_frames_come_at_their_own_times(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", VARIABLE_MS)
    with av.open(str(path)) as container:
        packets = [p.pts for p in container.demux(container.streams.video[0]) if p.pts is not None]
    assert packets != sorted(packets), "the clip has no B-frames: it does not test what it should"
    shown = pictures(path)
    assert [round(item.pts_us / 1000) for item in shown] == VARIABLE_MS
    for item, time_ms in zip(shown, VARIABLE_MS, strict=True):
        assert abs(int(item.pixels[24, 48, 0]) - shade(time_ms)) <= 4


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("rate_hz", "layout"), [(44_100, "stereo"), (48_000, "5.1"), (22_050, "mono")]
)
def test_sound_of_any_rate_and_layout_is_mixed_and_keeps_its_time(
    tmp_path: Path, suffix: str, rate_hz: int, layout: str
) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", [], seconds=2.0, rate_hz=rate_hz, layout=layout)
    blocks = sounds(path)
    assert {block.sample_rate_hz for block in blocks} == {rate_hz}
    pcm = np.concatenate([block.samples for block in blocks])
    assert pcm.dtype == np.float32
    assert len(pcm) == pytest.approx(2 * rate_hz, abs=2048)
    half = rate_hz
    loudness = [float(np.abs(part).mean()) for part in (pcm[: half - 3000], pcm[half + 3000 :])]
    assert loudness[1] / loudness[0] == pytest.approx(4, rel=0.1)
    for block, later in pairwise(blocks):
        end_us = block.pts_us + len(block.samples) * 1e6 / rate_hz
        assert later.pts_us == pytest.approx(end_us, abs=1100)  # Matroska keeps milliseconds


def test_integer_samples_of_all_widths_are_the_same_sound(tmp_path: Path) -> None:
    want = tone(0.5, 16_000)
    for codec in ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"):
        path = tmp_path / f"{codec}.wav"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(want[None].astype(np.float32), "flt", "mono")
            frame.sample_rate = 16_000
            for part in av.AudioResampler(stream.format, "mono", 16_000).resample(frame):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        pcm = np.concatenate([block.samples for block in sounds(path)])
        np.testing.assert_allclose(pcm, want, atol=0.01 if codec == "pcm_u8" else 1e-4)


def test_sound_and_pictures_are_merged_by_time(tmp_path: Path) -> None:
    """However they lie in the file: here all the sound lies behind all the pictures."""
    path = write_clip(tmp_path / "clip.mkv", VARIABLE_MS, seconds=2.0)
    items = list(MediaFile(path))
    times_us = [item.known_us for item in items]
    assert times_us == sorted(times_us)
    kinds = [type(item) for item in items]
    assert kinds.index(Sound) < kinds.index(Picture) + 2
    assert Picture in kinds[len(kinds) // 2 :]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_phone_held_upright_is_turned(tmp_path: Path, quarters: int) -> None:
    path = write_clip(tmp_path / "clip.mp4", [0, 40, 80])
    # The matrix of the track's header: 16.16 numbers, the identity before.
    identity = b"".join(n.to_bytes(4, "big") for n in (1 << 16, 0, 0, 0, 1 << 16))
    a, b = {1: (0, 1), 2: (-1, 0), 3: (0, -1)}[quarters]
    turned = b"".join((n << 16 & 0xFFFFFFFF).to_bytes(4, "big") for n in (a, b, 0, -b, a))
    raw = path.read_bytes()
    header = raw.index(b"tkhd")
    place = raw.index(identity, header)
    path.write_bytes(raw[:place] + turned + raw[place + len(turned) :])
    (first, *_) = pictures(path)
    bright = first.pixels[..., 0] > 200  # the left half before it is turned clockwise
    height, width = bright.shape
    assert (width, height) == ((64, 48) if quarters == 2 else (48, 64))
    side = {
        1: bright[: height // 2],  # left goes up
        2: bright[:, width // 2 :],
        3: bright[height // 2 :],
    }[quarters]
    assert side.mean() > 0.95
    assert bright.mean() == pytest.approx(0.5, abs=0.05)


def test_a_stream_that_starts_late_and_a_file_that_starts_late(tmp_path: Path) -> None:
    late = write_clip(tmp_path / "late.mkv", [1000, 1040, 1080], seconds=2.0)
    assert [item.pts_us for item in pictures(late)] == [1_000_000, 1_040_000, 1_080_000]
    times_ms = list(range(0, 2000, 40))
    transport = write_clip(tmp_path / "clip.ts", times_ms)  # its clock starts at 1.4 s or so
    assert [round(item.pts_us / 1000) for item in pictures(transport)] == times_ms


def test_a_raw_stream_without_times_is_played_at_its_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.h264", [0, 40, 80, 120])
    times_us = [item.pts_us for item in pictures(path)]
    assert len(times_us) == 4
    assert times_us == sorted(set(times_us))


def test_what_is_damaged_in_the_middle_is_named_and_the_rest_is_played(tmp_path: Path) -> None:
    times_ms = list(range(0, 8000, 40))
    path = write_clip(tmp_path / "clip.mkv", times_ms, size=(320, 240))
    raw = bytearray(path.read_bytes())
    third, tenth = len(raw) // 3, len(raw) // 10
    raw[third : third + tenth] = np.random.default_rng(0).bytes(tenth)
    path.write_bytes(raw)
    media = MediaFile(path)
    items = list(media)
    assert media.damage
    assert all(str(path) in line for line in media.damage)
    assert 10 < len([item for item in items if isinstance(item, Picture)]) <= len(times_ms)
    again = list(media)
    assert len(again) == len(items), "a second playing is another"


def test_a_file_that_is_cut_says_where_it_ends(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", list(range(0, 8000, 40)), size=(320, 240))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    media = MediaFile(path)
    played = list(media)
    assert 10 < len(played) < 195
    assert any("it ends at" in line or "breaks off" in line for line in media.damage)


def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match="no such file"):
        MediaFile(tmp_path / "nothing.mp4")
    with pytest.raises(DataNotFound, match="no such file"):
        MediaFile(tmp_path)
    (tmp_path / "text.mp4").write_text("this is no film\n", encoding="utf-8")
    with pytest.raises(UnusableMedia, match="expected a media file"):
        MediaFile(tmp_path / "text.mp4")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(UnusableMedia, match="expected a media file"):
        MediaFile(tmp_path / "empty.wav")
    (tmp_path / "words.srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nhello\n", encoding="utf-8"
    )
    with pytest.raises(UnusableMedia, match="got streams: subtitle"):
        MediaFile(tmp_path / "words.srt")


def test_a_file_whose_packets_are_all_damaged_cannot_be_played(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [0, 40, 80], codec="mpeg4")
    raw = path.read_bytes()
    start = raw.index(b"mdat") + 4
    end = raw.index(b"moov") - 4
    path.write_bytes(raw[:start] + bytes(end - start) + raw[end:])
    with pytest.raises(UnusableMedia, match="nothing of it can be decoded"):
        list(MediaFile(path))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """All the sound lies behind all the pictures: reading once would have to keep one of them."""
    path = write_clip(tmp_path / "clip.mkv", list(range(0, 20_000, 40)), seconds=20.0)
    tracemalloc.start()
    try:
        for _ in MediaFile(path):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
