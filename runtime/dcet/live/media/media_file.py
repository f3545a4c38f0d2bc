"""A media file as timed blocks of sound and pictures, in the order in which they would be known."""

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.timeline import SECOND_US
from dcet.runtime.arrays import Floats
from dcet.runtime.errors import DataNotFound, UnusableMedia
from dcet.runtime.extras import need

USUAL_RATE = Fraction(25)  # frames a second, where a file says none
SHORT_US = SECOND_US  # a file that ends so much sooner than it says is cut
SKIPPING = ("h264", "hevc")  # decoders that can leave out pictures that no other needs
FULL_SCALE = {"u1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "i8": 2.0**63}  # of integer samples


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A block of sound, its channels mixed."""

    pts_us: int  # of its first sample
    samples: Floats  # (n,) in [-1, 1]
    sample_rate_hz: int

    @property
    def known_us(self) -> int:
        """When a microphone would have heard all of it."""
        return self.pts_us + round(len(self.samples) * SECOND_US / self.sample_rate_hz)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame, turned upright."""

    pts_us: int
    pixels: NDArray[np.uint8]  # (height, width, 3) RGB

    @property
    def known_us(self) -> int:
        return self.pts_us


class MediaFile:
    """The first sound and the first moving pictures of a file; iterate to play it from its start.

    A picture comes at its time, a block of sound at the time of its end, as live ones do. Each
    stream is read through a handle of its own, so that memory stays bounded however the two are
    interleaved. Times count from the start of the file. What has no time of its own follows what
    came before it. What cannot be decoded is left out, and `damage` says so after playing.

    Needs the extra `live`. Raises DataNotFound, MissingExtra, or UnusableMedia where the file is no
    media file, or has neither sound nor pictures.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataNotFound(f"{path}: there is no such file; correct the name, or add the file")
        self.path = path
        self.damage: list[str] = []
        self._av = need("av", extra="live")
        with self._open() as container:
            sound, pictures = _streams(container)
            if sound is None and pictures is None:
                kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
                raise UnusableMedia(
                    f"{path}: expected sound or moving pictures, got streams: {kinds}; give "
                    "another file"
                )
            self.has_sound = sound is not None
            self.has_pictures = pictures is not None
            self.duration_us: int | None = container.duration  # None: the file does not say
            self.frame_rate = (pictures and pictures.average_rate) or USUAL_RATE

    def __iter__(self) -> Iterator[Sound | Picture]:
        """Play the file. Raises UnusableMedia where nothing of it can be decoded."""
        self.damage.clear()
        parts: list[Iterator[Sound | Picture]] = []
        if self.has_sound:
            parts.append(self._sounds())
        if self.has_pictures:
            parts.append(self._pictures())
        last_us = None
        for item in heapq.merge(*parts, key=lambda item: item.known_us):
            last_us = item.known_us
            yield item
        if last_us is None:
            why = "; ".join(self.damage) or "its streams are empty"
            raise UnusableMedia(f"{self.path}: nothing of it can be decoded ({why}); copy it again")
        if self.duration_us is not None and self.duration_us - last_us > SHORT_US:
            self.damage.append(
                f"{self.path}: it ends at {last_us / SECOND_US:.1f} s, and says that it is "
                f"{self.duration_us / SECOND_US:.1f} s long; copy it again"
            )

    def _sounds(self) -> Iterator[Sound]:
        next_us = 0
        for frame, start_us in self.decoded("audio"):
            pts_us = next_us if start_us is None else start_us
            sound = Sound(pts_us, mixed(frame), frame.sample_rate)
            next_us = sound.known_us
            if len(sound.samples):
                yield sound

    def _pictures(self) -> Iterator[Picture]:
        next_us, step_us = 0, round(SECOND_US / self.frame_rate)
        converter = self._av.video.reformatter.VideoReformatter()
        for frame, start_us in self.decoded("video"):
            pts_us = next_us if start_us is None else start_us
            next_us = pts_us + step_us
            yield Picture(pts_us, upright(frame, converter))

    def picture_times(self, from_us: int, until_us: int) -> list[int] | None:
        """Return when the pictures are shown, in order, in microseconds, without decoding any.

        None where the file does not say, or where decoders cannot leave out single pictures.
        """
        times = []
        with self._open() as container:
            stream, first_us = self._sought(container, "video", from_us)
            if stream.codec_context.name not in SKIPPING:
                return None
            try:
                for packet in container.demux(stream):
                    if packet.dts is not None and _us(packet.dts, packet, first_us) >= until_us:
                        break
                    if packet.size and packet.pts is None:
                        return None
                    if packet.size:
                        times.append(_us(packet.pts, packet, first_us))
            except self._av.FFmpegError:
                return None
        return sorted(times)

    def decoded(
        self, kind: str, *, from_us: int = 0, only: Collection[int] | None = None
    ) -> Iterator[tuple[Any, int | None]]:
        """Decode the `audio` or the `video`: PyAV's frames in the order in which they are shown,
        each with its time in microseconds, or None.

        from_us: from when on all of them are wanted; more may come before
        only: those of `picture_times` that are wanted; others are left out where none needs them
        """
        lost = 0
        with self._open() as container:
            stream, first_us = self._sought(container, kind, from_us)
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                except self._av.FFmpegError as error:
                    self.damage.append(f"{self.path}: {kind} breaks off ({error.strerror})")
                    break
                if packet is None:
                    break
                if only is not None and packet.pts is not None:
                    is_wanted = _us(packet.pts, packet, first_us) in only
                    stream.codec_context.skip_frame = "DEFAULT" if is_wanted else "NONREF"
                try:
                    frames = packet.decode()
                except self._av.FFmpegError:
                    lost += 1
                    continue
                for frame in frames:
                    start_us = None
                    if frame.pts is not None and frame.time_base is not None:
                        start_us = _us(frame.pts, frame, first_us)
                    yield frame, start_us
        if lost:
            self.damage.append(f"{self.path}: {lost} packets of {kind} cannot be decoded")

    def _sought(self, container: Any, kind: str, from_us: int) -> tuple[Any, int]:
        """Go to what is to be decoded first; return the stream, and when the file begins."""
        first_us = container.start_time or 0
        if from_us > 0:
            container.seek(first_us + from_us)  # to a picture that needs no earlier one
        return _streams(container)[kind == "video"], first_us

    def _open(self) -> Any:
        try:
            return self._av.open(str(self.path.absolute()), metadata_errors="replace")
        except (self._av.FFmpegError, OSError) as error:
            raise UnusableMedia(
                f"{self.path}: expected a media file, it cannot be opened ({error.strerror}); give "
                "another, or copy it again"
            ) from error


def mixed(frame: Any) -> Floats:
    """Return the samples (n,) of a frame of sound in [-1, 1], the mean of its channels."""
    array: NDArray[Any] = frame.to_ndarray()
    channels = array if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels).T
    kind = array.dtype.str[1:]
    mono = channels.mean(axis=0, dtype=np.float64)
    if kind == "u1":
        mono -= FULL_SCALE[kind]
    samples: Floats = (mono / FULL_SCALE.get(kind, 1.0)).astype(np.float32)
    return samples


def upright(frame: Any, converter: Any) -> NDArray[np.uint8]:
    """Return the pixels (height, width, 3) of a frame of pictures, RGB, turned as it is shown.

    converter: a VideoReformatter of PyAV, kept for a stream: a new one for each frame takes 8 ms
    """
    quarters = round(frame.rotation / 90) % 4
    pixels: NDArray[np.uint8] = converter.reformat(frame, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


def _us(pts: int, timed: Any, first_us: int) -> int:
    """Return the time of a packet or of a frame, from the start of the file."""
    at_us: int = round(pts * timed.time_base * SECOND_US)
    return at_us - first_us


def _streams(container: Any) -> tuple[Any | None, Any | None]:
    """Return the first stream of sound, and the first of pictures that is no cover of an album."""
    pictures = (s for s in container.streams.video if not _is_cover(s))
    return next(iter(container.streams.audio), None), next(pictures, None)


def _is_cover(stream: Any) -> bool:
    return "attached_pic" in (stream.disposition.name or "")
