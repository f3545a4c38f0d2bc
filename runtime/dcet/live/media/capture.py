"""Cameras and microphones of this machine, pushed into a session by threads of their own.

Media time is the clock of this machine, from the start of the session: a block of sound began as
long ago as it is long, a picture is as old as it is when it arrives.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.media.media_file import mixed
from dcet.live.timeline import SECOND_US
from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need

RETRY_S = 2.0  # after which a device that went away is looked for again
# Where FFmpeg has microphones, by sys.platform: the name of its input, and how a device is written.
MICROPHONES = {
    "linux": ("alsa", "{}"),
    "darwin": ("avfoundation", ":{}"),
    "win32": ("dshow", "audio={}"),
}


class DeviceLost(Exception):
    """A camera or a microphone gives nothing any more; why."""


def open_microphone(name: str) -> Iterator[tuple[Floats, int]]:
    """Open a microphone and give blocks of its sound (n,), each with its rate in Hz.

    name: of the system's, such as `default`

    Needs the extra `live`. Raises ConfigError where it cannot be opened; the iterator DeviceLost.
    """
    av = need("av", extra="live")
    if sys.platform not in MICROPHONES:
        raise ConfigError(f"microphone: DCET knows none on {sys.platform}; leave it out")
    kind, written = MICROPHONES[sys.platform]
    try:
        container = av.open(written.format(name), format=kind)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ConfigError(
            f"microphone {name!r}: it cannot be opened by {kind} ({error}); name another, or none"
        ) from error

    def blocks() -> Iterator[tuple[Floats, int]]:
        try:
            with container:
                for frame in container.decode(audio=0):
                    yield mixed(frame), frame.sample_rate
        except av.FFmpegError as error:
            raise DeviceLost(str(error)) from error
        raise DeviceLost("it gives no more sound")

    return blocks()


def open_camera(name: str) -> Iterator[NDArray[np.uint8]]:
    """Open a camera and give its pictures, (height, width, 3) BGR.

    name: its number, a device or an address, as OpenCV takes them

    Needs the extra `live`. Raises ConfigError where it cannot be opened; the iterator DeviceLost.
    """
    cv2 = need("cv2", extra="live")
    camera = cv2.VideoCapture(int(name) if name.isdigit() else name)
    if not camera.isOpened():
        raise ConfigError(
            f"camera {name!r}: it cannot be opened; is it connected, and used by no other program? "
            "Name another, or none"
        )

    def frames() -> Iterator[NDArray[np.uint8]]:
        try:
            while True:
                is_there, pixels = camera.read()
                if not is_there:
                    raise DeviceLost("it gives no more pictures")
                yield pixels
        finally:
            camera.release()

    return frames()


class Feeder:
    """A thread that gives what a device gives on, and looks for the device again when it is lost.

    what: the device, for `notes`
    opened: opens the device, as above
    give: takes each thing that it gives, and when it arrived

    Raises what `opened` raises the first time.
    """

    def __init__(
        self, what: str, opened: Callable[[], Iterator[Any]], give: Callable[[Any, float], object]
    ) -> None:
        self.notes: list[str] = []
        self._what = what
        self._opened = opened
        self._give = give
        self._ends = threading.Event()
        self._device = opened()
        self._thread = threading.Thread(target=self._run, name=f"dcet-{what}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; a device that hangs is left to itself."""
        self._ends.set()
        self._thread.join(RETRY_S)

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                for given in self._device:
                    self._give(given, time.monotonic())
                    if self._ends.is_set():
                        return
            except DeviceLost as error:
                self.notes.append(f"{self._what}: {error}")
            while not self._ends.wait(RETRY_S):
                try:
                    self._device = self._opened()
                    break
                except ConfigError:
                    continue


class Clock:
    """Media time in microseconds, from when it was made."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()

    def at_us(self, now_s: float) -> int:
        return round((now_s - self._started_s) * SECOND_US)
