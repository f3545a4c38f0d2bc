"""What was said in a film, from the subtitles beside it: SubRip (.srt) and WebVTT (.vtt)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from dcet.runtime.errors import DataNotFound, MalformedTable, UndecodableText

SUFFIXES = (".srt", ".vtt")
TIME = r"(?:(\d+):)?(\d\d):(\d\d)[.,](\d\d\d)"
CUE = re.compile(rf"\s*{TIME}\s*-->\s*{TIME}")
VOICE = re.compile(r"<v(?:\.[^ >]*)? ([^>]+)>")
MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Words, and when they were said."""

    start_us: int
    end_us: int
    text: str
    speaker: str | None  # where WebVTT names a voice


def beside(path: Path) -> Path | None:
    """Find the subtitles of the same name next to a media file; None where there are none."""
    found = (path.with_suffix(suffix) for suffix in SUFFIXES)
    return next((place for place in found if place.is_file()), None)


def read_subtitles(path: Path) -> tuple[Said, ...]:
    """Read all cues that hold words, in the order in which they end.

    Raises DataNotFound, UndecodableText, or MalformedTable, which names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataNotFound(
            f"{path}: cannot be read ({error.strerror}); correct the name"
        ) from error
    except UnicodeDecodeError as error:
        raise UndecodableText(
            f"{path}: expected subtitles in UTF-8, byte {error.start} is none; convert them first, "
            "for example: iconv -f windows-1252 -t utf-8"
        ) from error
    said = tuple(sorted(_cues(path, text.splitlines()), key=lambda cue: cue.end_us))
    if not said:
        raise MalformedTable(
            f"{path}: expected subtitles, a line such as 00:00:01,000 --> 00:00:02,500 and words "
            "below it, got none; give a file of SubRip or WebVTT"
        )
    return said


def _cues(path: Path, lines: list[str]) -> Iterator[Said]:
    for number, line in enumerate(lines):
        if not (times := CUE.match(line)):
            if "-->" in line:
                raise MalformedTable(
                    f"{path}, line {number + 1}: expected times such as 00:00:01,000 --> "
                    f"00:00:02,500, got {line.strip():.60}; correct it"
                )
            continue
        start_us, end_us = (_microseconds(times.groups()[at : at + 4]) for at in (0, 4))
        if end_us < start_us:
            raise MalformedTable(
                f"{path}, line {number + 1}: it ends before it begins; correct the times"
            )
        block: list[str] = []
        for below in lines[number + 1 :]:
            if not below.strip():
                break
            block.append(below)
        words = " ".join(block)
        voice = VOICE.search(words)
        text = " ".join(unescape(MARKUP.sub("", words)).split())
        if text:
            speaker = unescape(voice[1]).strip() if voice else None
            yield Said(start_us=start_us, end_us=end_us, text=text, speaker=speaker or None)


def _microseconds(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + milliseconds * 1000
