"""Plays files into a session as if they were live, by their own timestamps."""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dcet.live.events import Event
from dcet.live.media.media_file import MediaFile, Picture, Sound
from dcet.live.media.subtitles import Said
from dcet.live.session import LiveSession
from dcet.runtime.errors import ConfigError

T = TypeVar("T")
SLICE_S = 0.05  # of waiting, after which events are looked for
BEHIND_S = 0.2  # from which pictures are not shown: sound must not wait for that


@dataclass(frozen=True, slots=True)
class Words:
    """Words of subtitles, told when they have been said."""

    said: Said

    @property
    def known_us(self) -> int:
        return self.said.end_us


class Pace:
    """Lets media time pass at the speed of a clock, or as fast as things are done."""

    def __init__(self, *, is_real: bool, waiting: Callable[[], object]) -> None:
        self._is_real = is_real
        self._waiting = waiting
        self._started_s: float | None = None

    def wait(self, until_us: int) -> None:
        """Wait for a media time, and call `waiting` meanwhile."""
        if not self._is_real:
            return
        now_s = time.monotonic()
        if self._started_s is None:
            self._started_s = now_s - until_us / 1e6
        while (left_s := self._started_s + until_us / 1e6 - time.monotonic()) > 0:
            time.sleep(min(left_s, SLICE_S))
            self._waiting()

    def is_behind(self, at_us: int) -> bool:
        """Tell whether a media time was due long ago."""
        if self._started_s is None:
            return False
        return time.monotonic() - self._started_s - at_us / 1e6 > BEHIND_S


def track_names(files: Sequence[MediaFile]) -> list[str]:
    """Name each file's track: as the file, without its ending, and numbered where two are alike."""
    names: list[str] = []
    for media in files:
        stem, number = media.path.stem, 2
        name = stem
        while name in names:
            name, number = f"{stem} {number}", number + 1
        names.append(name)
    return names


def named_speakers(pairs: Sequence[str], tracks: Sequence[str]) -> dict[str, str]:
    """Read TRACK=NAME. Raises ConfigError for what is not that, or a track that there is not."""
    found: dict[str, str] = {}
    for pair in pairs:
        track, is_pair, name = pair.partition("=")
        if not is_pair or not name.strip():
            raise ConfigError(f"--speaker: expected TRACK=NAME, got {pair!r}")
        if track not in tracks:
            raise ConfigError(
                f"--speaker: there is no track {track!r}; expected one of {', '.join(tracks)}"
            )
        found[track] = name
    return found


def play(
    files: Sequence[MediaFile],
    said: Sequence[Said],
    session: LiveSession,
    *,
    is_real_time: bool,
    on_event: Callable[[Event], object],
    on_picture: Callable[[str, Picture], object],
) -> None:
    """Play files that began at the same moment, each a track of its own, to their ends.

    on_event: called with each event
    on_picture: called with each picture and its track, after the session was given it; in real time
        not with those that are late

    Raises UnusableMedia where nothing of a file can be decoded.
    """

    def tell() -> None:
        while (event := session.poll()) is not None:
            on_event(event)

    pace = Pace(is_real=is_real_time, waiting=tell)
    for track, item in _merged(files, said):
        pace.wait(item.known_us)
        if isinstance(item, Sound):
            session.push_audio(
                item.samples, item.pts_us, sample_rate_hz=item.sample_rate_hz, track=track
            )
        elif isinstance(item, Picture):
            session.push_frame(item.pixels, item.pts_us, track=track)
        else:
            cue = item.said
            session.push_text(cue.text, cue.start_us, cue.end_us, speaker=cue.speaker)
        tell()
        if isinstance(item, Picture) and not pace.is_behind(item.pts_us):
            on_picture(track, item)
    session.close()
    tell()


def _merged(
    files: Sequence[MediaFile], said: Sequence[Said]
) -> Iterator[tuple[str, Sound | Picture | Words]]:
    """Give everything in the order in which it is known; words first of what is known at once."""
    streams = [_named(name, media) for name, media in zip(track_names(files), files, strict=True)]
    yield from heapq.merge(
        _named("", map(Words, said)), *streams, key=lambda named: named[1].known_us
    )


def _named(name: str, items: Iterable[T]) -> Iterator[tuple[str, T]]:
    for item in items:
        yield name, item
