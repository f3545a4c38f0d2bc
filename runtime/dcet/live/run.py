"""Follows a camera and a microphone until it is told to end."""

import time
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import Any

from dcet.live.media.capture import Clock, Feeder, open_camera, open_microphone
from dcet.live.session import LiveSession
from dcet.live.show.draw import draw_scene
from dcet.live.show.watcher import Watcher
from dcet.live.show.window import Window
from dcet.live.timeline import SECOND_US

CAMERA, MICROPHONE = "camera", "mic"
LOOK_S = 0.03  # between two looks for events and pictures


class Sources:
    """A camera and a microphone that feed a session; either may be missing."""

    def __init__(self, session: LiveSession, camera: str | None, microphone: str | None) -> None:
        self._session = session
        self.clock = Clock()
        self.picture: Any = None  # the latest one, (height, width, 3) BGR
        with ExitStack() as stack:
            self._feeders = []
            for what, name, opened, give in (
                (MICROPHONE, microphone, open_microphone, self._hear),
                (CAMERA, camera, open_camera, self._see),
            ):
                if name is not None:
                    feeder = Feeder(what, partial(opened, name), give)
                    self._feeders.append(stack.enter_context(closing(feeder)))
            self._open = stack.pop_all()

    @property
    def notes(self) -> list[str]:
        """Which of them was lost, and why."""
        return [note for feeder in self._feeders for note in feeder.notes]

    def close(self) -> None:
        self._open.close()

    def _hear(self, block: Any, now_s: float) -> None:
        samples, rate_hz = block
        pts_us = self.clock.at_us(now_s) - round(len(samples) * SECOND_US / rate_hz)
        self._session.push_audio(samples, pts_us, sample_rate_hz=rate_hz, track=MICROPHONE)

    def _see(self, pixels: Any, now_s: float) -> None:
        self.picture = pixels
        self._session.push_frame(pixels, self.clock.at_us(now_s), colors="bgr", track=CAMERA)


def follow(
    session: LiveSession,
    watcher: Watcher,
    *,
    camera: str | None,
    microphone: str | None,
    seconds: float | None,
) -> list[str]:
    """Follow them for so many seconds, or until Ctrl-C, or q in the window; return what was wrong.

    Raises ConfigError where one cannot be opened.
    """
    with ExitStack() as stack:
        sources = stack.enter_context(closing(Sources(session, camera, microphone)))
        window = stack.enter_context(closing(Window())) if camera is not None else None
        with suppress(KeyboardInterrupt):
            ends_s = None if seconds is None else time.monotonic() + seconds
            while ends_s is None or time.monotonic() < ends_s:
                _tell(session, watcher)
                watcher.scene.pass_to(sources.clock.at_us(time.monotonic()))
                picture = sources.picture
                if picture is not None and window is not None and window.note is None:
                    drawn = draw_scene(picture[..., ::-1], watcher.scene, CAMERA)
                    if window.show(drawn):
                        break
                time.sleep(LOOK_S)
    session.close()
    _tell(session, watcher)
    why_no_window = None if window is None else window.note
    return [*sources.notes, *([why_no_window] if why_no_window else [])]


def _tell(session: LiveSession, watcher: Watcher) -> None:
    while (event := session.poll()) is not None:
        watcher.hear(event)
