"""Subtitles beside a film."""

from pathlib import Path

import pytest

from dcet.live.media.subtitles import Said, beside, read_subtitles
from dcet.runtime.errors import DataNotFound, MalformedTable, UndecodableText

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>I got</i>
the job!

2
01:02:03,004 --> 01:02:04,000 X1:40 X2:600
{\\an8}You &amp; me

3
00:00:03,000 --> 00:00:04,000


"""
VTT = """WEBVTT - a title

NOTE nothing of this is said

intro
00:05.000 --> 00:06.000 align:start
<v.loud Ann Lee>Who is <b>there</b>?</v>

00:01.000 --> 00:02.000
nobody
"""


def test_subrip(tmp_path: Path) -> None:
    path = tmp_path / "film.srt"
    path.write_text("\ufeff" + SRT.replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert read_subtitles(path) == (
        Said(start_us=1_000_000, end_us=2_500_000, text="I got the job!", speaker=None),
        Said(start_us=3_723_004_000, end_us=3_724_000_000, text="You & me", speaker=None),
    )


def test_webvtt_names_voices_and_cues_come_by_their_ends(tmp_path: Path) -> None:
    path = tmp_path / "film.vtt"
    path.write_text(VTT, encoding="utf-8")
    first, second = read_subtitles(path)
    assert (first.text, first.speaker) == ("nobody", None)
    assert second == Said(
        start_us=5_000_000, end_us=6_000_000, text="Who is there?", speaker="Ann Lee"
    )


def test_they_are_found_beside_the_film(tmp_path: Path) -> None:
    film = tmp_path / "a film.mp4"
    assert beside(film) is None
    (tmp_path / "a film.vtt").touch()
    assert beside(film) == tmp_path / "a film.vtt"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"no times\n", MalformedTable, "got none"),
        (b"1\n0:1 --> 0:2\nhello\n", MalformedTable, "line 2: expected times"),
        (b"00:00:02,000 --> 00:00:01,000\nhello\n", MalformedTable, "line 1: it ends before"),
        (b"00:00:01,000 --> 00:00:02,000\ncaf\xe9\n", UndecodableText, "byte 33"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / "film.srt"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        read_subtitles(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match="cannot be read"):
        read_subtitles(tmp_path / "film.srt")
