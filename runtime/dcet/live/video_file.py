"""Writes pictures as a video that browsers play."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.runtime.files import atomic_path

CODECS = ("libx264", "mpeg4")  # the second is in every FFmpeg
_MICROSECOND = Fraction(1, 1_000_000)

Write = Callable[[int, NDArray[np.uint8]], None]


@contextmanager
def write_video(path: Path, frame_rate: Fraction) -> Iterator[Write]:
    """Yield a function that adds a picture, (height, width, 3) RGB, at its time in microseconds.

    path: its ending says which container; .mp4 plays everywhere
    frame_rate: roughly; the times of the pictures count

    All pictures are scaled to the size of the first one, made even. The file appears whole at the
    end, or not at all. Needs the extra `live`. Raises WriteError, or ConfigError where the ending
    is that of no container.
    """
    av = need("av", extra="live")
    with atomic_path(path) as temporary, _open(av, temporary, path) as container:
        codec = next(name for name in CODECS if name in av.codecs_available)
        stream: Any = container.add_stream(codec, rate=frame_rate)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _MICROSECOND
        is_first = True

        def write(pts_us: int, pixels: NDArray[np.uint8]) -> None:
            nonlocal is_first
            if is_first:
                stream.height, stream.width = (size // 2 * 2 for size in pixels.shape[:2])
                is_first = False
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(stream.width, stream.height, "yuv420p")
            frame.pts, frame.time_base = pts_us, _MICROSECOND
            container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode(None))


def _open(av: Any, temporary: Path, path: Path) -> Any:
    try:
        return av.open(str(temporary), "w")
    except (av.FFmpegError, ValueError) as error:
        raise ConfigError(
            f"expected the name of a video, .mp4, got {path}; name another"
        ) from error
