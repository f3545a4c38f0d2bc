"""Media files for the tests, whose every picture and sample tells its own time."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

MILLISECONDS = Fraction(1, 1000)
TONE_HZ = 440.0


def shade(time_ms: int) -> int:
    """The grey of the picture that is shown at a time: far enough from that of its neighbours."""
    return 20 + time_ms // 40 * 7 % 210


def write_clip(
    path: Path,
    times_ms: Sequence[int],
    *,
    seconds: float = 0.0,
    rate_hz: int = 44_100,
    layout: str = "stereo",
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    late_ms: int = 0,
) -> Path:
    """Write pictures at these times, with B-frames, and so many seconds of a tone: louder in the
    second half, and late. The left half of each picture is bright, the right of its `shade`."""
    with av.open(str(path), "w", options={"max_interleave_delta": "1"}) as container:
        pictures: Any = None
        sound: Any = None
        if times_ms:
            pictures = container.add_stream(codec, rate=25, options={"bf": "2"})
            pictures.width, pictures.height = size
            pictures.pix_fmt = "yuv420p"
            pictures.codec_context.time_base = MILLISECONDS
        if seconds:
            sound = container.add_stream("aac" if path.suffix == ".mp4" else "pcm_s16le", rate_hz)
            sound.layout = layout
        if pictures is not None:
            for time_ms in times_ms:
                frame = av.VideoFrame.from_ndarray(picture(time_ms, size), format="rgb24")
                frame.pts, frame.time_base = time_ms, MILLISECONDS
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        if sound is not None:
            pcm = np.repeat(
                (tone(seconds, rate_hz) * 32767).astype(np.int16), sound.layout.nb_channels
            )
            block = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout=layout)
            block.sample_rate, block.pts = rate_hz, 0
            to_format = av.AudioResampler(sound.format, layout, rate_hz, frame_size=1024)
            for part in (*to_format.resample(block), *to_format.resample(None)):
                part.pts = (part.pts or 0) + late_ms * rate_hz // 1000
                container.mux(sound.encode(part))
            container.mux(sound.encode(None))
    return path


def picture(time_ms: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = size
    pixels = np.full((height, width, 3), shade(time_ms), np.uint8)
    pixels[:, : width // 2] = 250
    return pixels


def tone(seconds: float, rate_hz: int) -> NDArray[np.float64]:
    """A tone whose second half is four times as loud as its first."""
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    loudness = np.where(times_s < seconds / 2, 0.1, 0.4)
    wave: NDArray[np.float64] = loudness * np.sin(2 * np.pi * TONE_HZ * times_s)
    return wave
