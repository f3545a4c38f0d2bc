"""Writes pictures as a video that browsers play, each at its own time, with the sound of a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.media.media_file import MediaFile
from dcet.live.timeline import SECOND_US
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.runtime.files import atomic_path

CODECS = ("libx264", "mpeg4")  # the second is in every FFmpeg
SOUND_CODEC = "aac"
SOUND_RATE_HZ = 48_000
GAP_US = 200_000  # less is what a resampler holds back
_MICROSECOND = Fraction(1, SECOND_US)

Write = Callable[[int, NDArray[np.uint8]], None]


@contextmanager
def write_video(
    path: Path, frame_rate: Fraction, *, sound: MediaFile | None = None
) -> Iterator[Write]:
    """Yield a function that adds a picture, (height, width, 3) RGB, at its time in microseconds.

    path: its ending says which container; .mp4 plays everywhere
    frame_rate: roughly; the times of the pictures count
    sound: a file whose sound goes with the pictures, as long as there are any

    All pictures are scaled to the size of the first one, made even; one of no later time than the
    last is left out. The file appears whole at the end, or not at all. Needs the extra `live`.
    Raises WriteError, or ConfigError where the ending is that of no container of such a video.
    """
    av = need("av", extra="live")
    with atomic_path(path) as temporary, _open(av, temporary, path) as container:
        codec = next(name for name in CODECS if name in av.codecs_available)
        with _supported(av, path):
            stream: Any = container.add_stream(codec, rate=frame_rate)
            heard = None if sound is None or not sound.has_sound else _Heard(av, container, sound)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _MICROSECOND
        last_us: int | None = None

        def write(pts_us: int, pixels: NDArray[np.uint8]) -> None:
            nonlocal last_us
            if last_us is None:
                stream.height, stream.width = (size // 2 * 2 for size in pixels.shape[:2])
            elif pts_us <= last_us:
                return
            last_us = pts_us
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(stream.width, stream.height, "yuv420p")
            frame.pts, frame.time_base = pts_us, _MICROSECOND
            with _supported(av, path):
                container.mux(stream.encode(frame))
                if heard is not None:
                    heard.write(pts_us)

        yield write
        if last_us is not None:
            container.mux(stream.encode(None))
            if heard is not None:
                heard.end()


class _Heard:
    """The sound of a file in a video that is being written."""

    def __init__(self, av: Any, container: Any, sound: MediaFile) -> None:
        self._av = av
        self._container = container
        self._stream = container.add_stream(SOUND_CODEC, rate=SOUND_RATE_HZ, layout="stereo")
        self._parts = self._resampled(sound)
        self._next = next(self._parts, None)

    def write(self, until_us: int) -> None:
        """Write what begins before this time."""
        while self._next is not None and self._next[1] < until_us:
            self._container.mux(self._stream.encode(self._next[0]))
            self._next = next(self._parts, None)

    def end(self) -> None:
        self._container.mux(self._stream.encode(None))

    def _resampled(self, sound: MediaFile) -> Iterator[tuple[Any, int]]:
        """Give the sound as the encoder takes it, each part with the time at which it begins."""
        context = self._stream.codec_context
        kind, resampler, place_us = None, None, 0.0
        for frame, start_us in sound.decoded("audio"):
            if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
                resampler = self._av.AudioResampler(
                    context.format, "stereo", SOUND_RATE_HZ, frame_size=context.frame_size or 1024
                )
            if start_us is not None and start_us - place_us > GAP_US:
                place_us = start_us
            frame.pts = None
            assert resampler is not None
            for part in resampler.resample(frame):
                part.pts = round(place_us * SOUND_RATE_HZ / SECOND_US)
                part.time_base = Fraction(1, SOUND_RATE_HZ)
                yield part, round(place_us)
                place_us += part.samples * SECOND_US / SOUND_RATE_HZ


def _open(av: Any, temporary: Path, path: Path) -> Any:
    with _supported(av, path):
        return av.open(str(temporary), "w")


@contextmanager
def _supported(av: Any, path: Path) -> Iterator[None]:
    """Raise ConfigError for what a container does not take."""
    try:
        yield
    except (av.FFmpegError, ValueError) as error:
        raise ConfigError(
            f"expected the name of a video, .mp4, got {path}; name another"
        ) from error
