"""The sound and the pictures of a part of a video, by its own timestamps.

Variable rates, B-frames, rotation and streams that begin at different times are no matter: every
sample and every picture has its place in media time. Memory holds one picture, and the sound of
one utterance.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.media.media_file import MediaFile, mixed, upright
from dcet.live.timeline import SECOND_US
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.errors import UnusableMedia
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels

MOST_US = 360 * SECOND_US  # of one utterance; its sound is held in memory
JITTER_US = 40_000  # of the timestamps of sound, within which blocks follow each other
LEAD_US = SECOND_US  # decoded before a part, so that what refers back is whole


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """The sound of an utterance."""

    pcm: Floats  # (n,) at 16 kHz in [-1, 1], from the utterance's beginning
    length_us: int  # of it that the file has; 0 for none


class ClipMedia:
    """A part of a video file; times count from the part's beginning.

    Raises DataNotFound, UnusableMedia or MissingExtra.
    """

    def __init__(self, path: Path, part_us: tuple[int, int] | None) -> None:
        self._file = MediaFile(path)
        self._converter = need("av", extra="dvcea").video.reformatter.VideoReformatter()
        self.path = path
        whole_us = self._file.duration_us
        if part_us is not None and whole_us is not None and part_us[0] >= whole_us:
            raise UnusableMedia(
                f"{path}: it ends at {whole_us / SECOND_US:.1f} s, before the part that begins "
                f"at {part_us[0] / SECOND_US:.1f} s; correct Start_s"
            )
        self.start_us = 0 if part_us is None else part_us[0]
        self.end_us = self.start_us + MOST_US + 1 if part_us is None else part_us[1]
        known_us = whole_us if part_us is None else part_us[1] - part_us[0]
        if known_us is not None:
            self._expect_short(known_us)
        self.picture_us = 0  # how long the pictures are, once they were played
        self.damage: list[str] = []

    def sound(self) -> Sound:
        """Decode the sound; gaps are silent."""
        rate_hz, blocks, next_us = 0, list[tuple[int, Floats]](), 0
        for frame, pts_us in self._frames("audio"):
            samples = mixed(frame)
            if rate_hz and frame.sample_rate != rate_hz:
                raise UnusableMedia(
                    f"{self.path}: its sound changes from {rate_hz} to {frame.sample_rate} Hz; "
                    "convert it first, for example: ffmpeg -i IN -ar 16000 OUT.mp4"
                )
            is_next = rate_hz and (pts_us is None or abs(pts_us - next_us) < JITTER_US)
            start_us = next_us if is_next or pts_us is None else pts_us
            rate_hz = frame.sample_rate
            next_us = start_us + round(len(samples) * SECOND_US / rate_hz)
            if start_us >= self.end_us:
                break
            self._expect_short(next_us - self.start_us)
            if next_us > self.start_us and len(samples):
                blocks.append((start_us, samples))
        if not blocks:
            return Sound(np.zeros(0, np.float32), 0)
        last_us = blocks[-1][0] + round(len(blocks[-1][1]) * SECOND_US / rate_hz)
        last_us = min(last_us, self.end_us)
        length_us = last_us - max(blocks[0][0], self.start_us)
        return Sound(_resampled(self._placed(blocks, rate_hz, last_us), rate_hz), length_us)

    def pictures(self, every_us: int) -> Iterator[tuple[int, Pixels]]:
        """Yield what is shown at the middle of each span of `every_us`: its time, and RGB.

        One picture that is shown for long is yielded again and again.
        """
        length_us = self.end_us - self.start_us
        shown, shown_us, step_us, begun_us = None, 0, SECOND_US // 25, 0
        next_us = every_us // 2
        for frame, pts_us in self._frames("video", every_us):
            at_us = shown_us + step_us if pts_us is None else pts_us - self.start_us
            if at_us >= length_us:
                break
            self._expect_short(at_us)
            if shown is None:
                begun_us = max(0, at_us)
                next_us += max(0, -(-(at_us - next_us) // every_us)) * every_us
            else:
                yield from self._while_shown(shown, range(next_us, at_us, every_us))
                next_us += len(range(next_us, at_us, every_us)) * every_us
                step_us = at_us - shown_us
            shown, shown_us = frame, at_us
        end_us = min(shown_us + step_us, length_us)
        if shown is not None and end_us > begun_us:
            self.picture_us = end_us - begun_us
            yield from self._while_shown(shown, range(next_us, end_us, every_us))

    def _while_shown(self, frame: Any, times_us: range) -> Iterator[tuple[int, Pixels]]:
        """Yield a picture for each of the times; it is converted once, and not for none."""
        pixels = upright(frame, self._converter) if times_us else None
        for at_us in times_us:
            assert pixels is not None
            yield at_us, pixels

    def _placed(self, blocks: list[tuple[int, Floats]], rate_hz: int, last_us: int) -> Floats:
        """Put blocks where they belong between the part's beginning and `last_us`."""
        length = round((last_us - self.start_us) * rate_hz / SECOND_US)
        placed = np.zeros(length, np.float32)
        for start_us, samples in blocks:
            place = round((start_us - self.start_us) * rate_hz / SECOND_US)
            kept = samples[max(0, -place) : max(0, length - place)]
            placed[max(0, place) : max(0, place) + len(kept)] = kept
        return placed

    def _frames(self, kind: str, every_us: int = 0) -> Iterator[tuple[Any, int | None]]:
        """Decode a stream from a little before the part on: frames with their times in the file;
        of pictures, those that are looked at each `every_us`, and what these need.

        Nothing where there is no such stream.
        """
        if not (self._file.has_sound if kind == "audio" else self._file.has_pictures):
            return
        from_us = max(0, self.start_us - LEAD_US)
        only = self._looked_at(from_us, every_us) if kind == "video" else None
        yield from self._file.decoded(kind, from_us=from_us, only=only)
        self.damage += self._file.damage

    def _looked_at(self, from_us: int, every_us: int) -> Collection[int] | None:
        """Return when those pictures begin that are shown at the middles of spans of `every_us`,
        the first one and the last two, which tell how long all of them are. None for all of them.
        """
        times = self._file.picture_times(from_us, self.end_us)
        if not times:
            return None
        looks = [-(-(at_us - self.start_us - every_us // 2) // every_us) for at_us in times]
        spans = zip(times, looks, looks[1:], strict=False)
        looked_at = {at_us for at_us, first, after in spans if first < after}
        return {times[0], *[at_us for at_us in times if at_us < self.end_us][-2:], *looked_at}

    def _expect_short(self, length_us: int) -> None:
        if length_us > MOST_US:
            raise UnusableMedia(
                f"{self.path}: an utterance of {length_us / SECOND_US:.0f} s; expected at most "
                f"{MOST_US / SECOND_US:.0f} s; give the parts of it as rows with Start_s and "
                "End_s"
            )


def _resampled(samples: Floats, rate_hz: int) -> Floats:
    if rate_hz != SAMPLE_RATE_HZ:
        samples = need("soxr", extra="dvcea").resample(samples, rate_hz, SAMPLE_RATE_HZ)
    finite: NDArray[np.float32] = np.nan_to_num(samples, posinf=0, neginf=0).astype(np.float32)
    return np.clip(finite, -1, 1)
