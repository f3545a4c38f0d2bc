"""All cameras of a session. Each has room for one frame; a newer one takes its place."""

import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from dcet.live.counters import Counters
from dcet.live.events import SeenFaces
from dcet.live.people.people import People
from dcet.live.seeing.video_track import Eye, Frame
from dcet.live.worker import Worker
from dcet.runtime.arrays import Floats
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import InputError
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.turn import Colors, Image

MOST_CAMERAS = 16
SLOW = 0.9  # quantile of the time that a look takes
LOOKS = 32  # of which it is taken


class FaceEncoder:
    """Encodes single faces, whoever's they are.

    conversation: one that is used for nothing else
    """

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def __call__(self, face: Pixels) -> tuple[Floats, float] | None:
        """Return features (width,) and quality; None where the face cannot be used."""
        encoded = self._conversation.encode("", faces=[face])
        if "face" not in encoded.features:
            return None
        return encoded.features["face"][0], encoded.quality["face"]


class Eyes:
    """Looks at the frames of all cameras, in a thread of its own where there is to be one."""

    def __init__(
        self,
        people: People,
        counters: Counters,
        encode: FaceEncoder,
        *,
        face_finder: FaceFinder | None,
        seen: Callable[[SeenFaces], None],
        worker: Worker | None,
    ) -> None:
        self._people = people
        self._counters = counters
        self._encode = encode
        self._finder = face_finder
        self._seen = seen
        self._worker = worker
        self.finding = threading.Lock()  # held while faces are found: one thread at a time
        self._lock = threading.Lock()
        self._eyes: dict[str, Eye] = {}
        self._slots: dict[str, Frame] = {}  # frames that wait to be looked at
        self._took_ms: deque[float] = deque(maxlen=LOOKS)

    def push(
        self, image: Image, pts_us: int, colors: Colors, camera: str, sound_us: int | None
    ) -> None:
        """Look at a frame, now or soon, if it is one of those that are. Raises InputError."""
        with self._lock:
            eye = self._eyes.get(camera) or self._new_eye(camera)
            self._counters.receive("frames")
            frame = eye.admit(image, colors, pts_us, sound_us)
            if frame is None:
                return
            if self._worker is not None:
                frame = frame.copied()
                waiting = self._slots.get(camera)
                self._slots[camera] = frame.instead_of(waiting)
                if waiting is not None:
                    self._counters.settle("frames", "dropped", why="a newer one took its place")
                    return
        if self._worker is None:
            with self.finding:
                eye.look(frame)
        elif not self._worker.offer(lambda: self._look(eye), "frames", 1, MOST_CAMERAS):
            self._drop(camera)

    def _look(self, eye: Eye) -> None:
        with self._lock:
            frame = self._slots.pop(eye.camera, None)
        if frame is None:
            return
        started = time.perf_counter()
        with self.finding:
            eye.look(frame)
        if frame.searched:
            self._took_ms.append((time.perf_counter() - started) * 1000)
            eye.rest(float(np.quantile(self._took_ms, SLOW)))

    def _drop(self, camera: str) -> None:
        with self._lock:
            if self._slots.pop(camera, None) is not None:
                self._counters.settle("frames", "dropped", why="the session ends")

    def _new_eye(self, camera: str) -> Eye:
        if len(self._eyes) == MOST_CAMERAS:
            raise InputError(
                f"track: expected at most {MOST_CAMERAS} cameras, got another one, {camera!r}; "
                "push its frames to another session"
            )
        self._eyes[camera] = Eye(
            camera, self._people, self._counters, self._made_finder, self._encode, self._seen
        )
        return self._eyes[camera]

    def _made_finder(self) -> FaceFinder:
        if self._finder is None:
            self._finder = FaceFinder()
        return self._finder
