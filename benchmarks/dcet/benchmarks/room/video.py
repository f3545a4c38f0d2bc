"""The sound and some pictures of a video."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.errors import UnusableMedia
from dcet.runtime.extras import need

PICTURES_PER_S = 2
MOST_S = 60.0  # of a video; what comes later is left out
MOST_PIXELS = 960  # along the longer side: faces are searched in smaller ones, and read at 96


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Sound and pictures of the same time."""

    sound: NDArray[np.int16]  # (n,) at 16 kHz
    pictures: list[NDArray[np.uint8]]  # (height, width, 3) RGB, `PICTURES_PER_S`

    @property
    def seconds(self) -> float:
        """How long there are both."""
        return min(len(self.sound) / SAMPLE_RATE_HZ, len(self.pictures) / PICTURES_PER_S)


def read_video(path: Path) -> Video:
    """Decode the first minute; needs the extra `video`. Raises UnusableMedia or MissingExtra."""
    av = need("av", extra="video")
    sound = [np.empty(0, np.int16)]
    pictures: list[NDArray[np.uint8]] = []
    to_mono = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    try:
        with av.open(str(path)) as container:
            streams = (*container.streams.video[:1], *container.streams.audio[:1])
            for frame in container.decode(*streams):
                if frame.time is not None and frame.time >= MOST_S:
                    break
                if isinstance(frame, av.AudioFrame):
                    sound += [part.to_ndarray()[0] for part in to_mono.resample(frame)]
                elif frame.time is not None and frame.time >= len(pictures) / PICTURES_PER_S:
                    pictures.append(_picture(frame))
    except (av.FFmpegError, OSError) as error:
        raise UnusableMedia(f"{path}: cannot read the video ({error}); copy it again") from error
    video = Video(np.concatenate(sound), pictures)
    if video.seconds == 0:
        raise UnusableMedia(
            f"{path}: expected pictures and sound, got {len(pictures)} pictures and "
            f"{len(video.sound) / SAMPLE_RATE_HZ:.1f} s of sound; take it out of the folder"
        )
    return video


def _picture(frame: Any) -> NDArray[np.uint8]:
    scale = min(1.0, MOST_PIXELS / max(frame.width, frame.height))
    small = frame.reformat(round(frame.width * scale), round(frame.height * scale), "rgb24")
    picture: NDArray[np.uint8] = small.to_ndarray()
    return picture
