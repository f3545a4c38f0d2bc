"""One camera: which of its frames are looked at, and what is seen in them.

Frames are chosen on a grid of media time, so that 2 and 60 a second show the same. In one of each
quarter of a second faces are searched, or of each half where there was none; in one of each half
they are encoded; and in between the mouths of faces are watched, 15 times a second. Where nobody
was seen for five seconds, a quarter's frame is compared with the last one that was searched, and
where nothing moved, faces are searched every two seconds. No frame is kept.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dcet.live.counters import Counters
from dcet.live.events import SeenFace, SeenFaces
from dcet.live.people.face_tracker import TrackedFace
from dcet.live.people.people import Encode, People, Sight
from dcet.live.seeing.stillness import Stillness
from dcet.live.timeline import SECOND_US, DriftClock
from dcet.runtime.errors import DcetError
from dcet.runtime.senses.face import Pixels, to_rgb
from dcet.runtime.senses.face_finder import SURE, FaceFinder
from dcet.runtime.turn import Colors, Image, Unusable

FIND_US = 250_000
ENCODE_US = 500_000
WATCH_US = 66_000
SHARE = 0.25  # of one core that searching may take
SLOWEST_US = 2_000_000  # between searches, however slow they are
EMPTY_US = 5 * SECOND_US  # without a face, after which nobody is taken to be there
STILL_US = 2 * SECOND_US  # between searches of a room in which nobody is and nothing moves
FROZEN_US = 2 * SECOND_US  # of pictures that are equal bit for bit
BLACK = 8  # of 255: the brightest pixel of a covered lens
EVERY = 8  # of whose pixels, along each side, one is compared


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture as it was pushed, and what to do with it."""

    camera: str
    image: Image
    colors: Colors
    pts_us: int
    at_us: int  # on the clock of the sound
    searched: bool
    encoded: bool

    def copied(self) -> "Frame":
        """Return the frame with a picture that nobody else may change."""
        image = self.image.copy() if isinstance(self.image, np.ndarray) else self.image
        return replace(self, image=image)

    def instead_of(self, other: "Frame | None") -> "Frame":
        """Return this frame, to be looked at for what an older one was taken for, too."""
        if other is None:
            return self
        searched, encoded = self.searched or other.searched, self.encoded or other.encoded
        return replace(self, searched=searched, encoded=encoded)


class Eye:
    """Looks at the frames of one camera. `admit` is for the thread that pushes, `look` for another.

    finder: makes or returns the finder, when it is needed
    seen: told of each frame that was searched
    """

    def __init__(
        self,
        camera: str,
        people: People,
        counters: Counters,
        finder: Callable[[], FaceFinder],
        encode: Encode,
        seen: Callable[[SeenFaces], None],
    ) -> None:
        self.camera = camera
        self.find_us = FIND_US
        self._clock = DriftClock()
        self._people = people
        self._counters = counters
        self._finder = finder
        self._encode = encode
        self._seen = seen
        self._last_us: int | None = None
        self._stillness = Stillness()
        self._find_cell: int | None = None  # when it began
        self._searched_us: int | None = None
        self._faces_us: int | None = None  # when there was a face last
        self._encode_cell: int | None = None
        self._watched_us = 0
        self._tracked: list[TrackedFace] = []
        self._shape: tuple[int, ...] = ()
        self._picture: tuple[int, int] = (0, 0)  # a checksum, and since when it is the same

    def admit(
        self, image: Image, colors: Colors, pts_us: int, sound_us: int | None
    ) -> Frame | None:
        """Return the frame, if it is to be looked at; else say what became of it.

        sound_us: the media time to which the sound has come
        """
        at_us = self._clock.to_sound(pts_us, sound_us)
        if self._last_us is not None and pts_us <= self._last_us:
            if self._last_us - pts_us <= SECOND_US:
                self._counters.settle("frames", "late", why="a newer one was there")
                return None
            self._counters.note("jumps of a camera's clock")
        searched = self._is_searched(image, pts_us)
        encoded = searched and pts_us // ENCODE_US != self._encode_cell
        watched = bool(self._tracked) and abs(pts_us - self._watched_us) >= WATCH_US
        self._last_us = pts_us
        if not searched and not watched:
            self._counters.settle("frames", "dropped", why="between those that are looked at")
            return None
        self._watched_us = pts_us
        if searched:
            self._searched_us = pts_us
            self._stillness.searched(image)
        if encoded:
            self._encode_cell = pts_us // ENCODE_US
        return Frame(self.camera, image, colors, pts_us, at_us, searched, encoded)

    def look(self, frame: Frame) -> None:
        """Look at a frame; it is used, or dropped with the reason."""
        why = "it could not be looked at"
        try:
            why = self._look(frame) or ""
        except Unusable as reason:
            why = str(reason)
        except DcetError as error:
            why = f"{type(error).__name__}: {error}"
        finally:
            if why and frame.searched:
                self._tracked = []
            self._people.note_trouble(self.camera, why or None)
            self._counters.settle("frames", "dropped" if why else "used", why=why)

    def rest(self, find_ms: float) -> None:
        """Search as often as searches of this length leave the cores to others."""
        self.find_us = FIND_US
        while find_ms * 1000 > SHARE * self.find_us and self.find_us < SLOWEST_US:
            self.find_us *= 2

    def _is_searched(self, image: Image, pts_us: int) -> bool:
        """Say whether faces are to be searched in a frame."""
        cell, self._find_cell = self._find_cell, pts_us // self.find_us * self.find_us
        if self._find_cell == cell:
            return False
        before_us = self._searched_us
        if self._tracked or before_us is None:
            return True
        if pts_us // ENCODE_US == before_us // ENCODE_US:
            return False
        is_empty = self._faces_us is None or abs(pts_us - self._faces_us) > EMPTY_US
        is_recent = abs(pts_us - before_us) < STILL_US
        return not (is_empty and is_recent and self._stillness.is_still(image))

    def _look(self, frame: Frame) -> str | None:
        """Return why there is nothing to see, if so."""
        rgb = to_rgb(frame.image, frame.colors)
        if frame.searched or rgb.shape != self._shape:
            if trouble := self._trouble(rgb, frame.at_us):
                return trouble
            self._search(frame, rgb)
        self._people.watch(frame.at_us, self._tracked, rgb)
        return None

    def _search(self, frame: Frame, rgb: Pixels) -> None:
        self._shape = rgb.shape
        found = [face for face in self._finder().find_all(rgb) if face.confidence >= SURE]
        self._tracked = self._people.track(self.camera, frame.at_us, found, rgb)
        if self._tracked:
            self._faces_us = frame.pts_us
        for face in self._tracked if frame.encoded else ():
            if (made := self._encode(face.found.pixels)) is not None:
                features, quality = made
                quality *= face.found.confidence
                self._people.remember(
                    Sight(self.camera, face.track_id, frame.at_us, features, quality)
                )
        faces = tuple(
            SeenFace(
                track_id=face.track_id,
                box=_box(face),
                score=face.found.confidence,
                speaker=self._people.name_of(self.camera, face.track_id),
            )
            for face in self._tracked
        )
        self._seen(SeenFaces(track=self.camera, pts_us=frame.pts_us, faces=faces))

    def _trouble(self, rgb: Pixels, pts_us: int) -> str | None:
        """Say whether the camera is covered, or shows the same picture all the time."""
        some = rgb[::EVERY, ::EVERY]
        if int(some.max()) < BLACK:
            return "the picture is black"
        checksum, (before, since_us) = zlib.crc32(some.tobytes()), self._picture
        if checksum != before or pts_us < since_us:
            self._picture = checksum, pts_us
        elif pts_us - since_us >= FROZEN_US:
            return "the picture is frozen"
        return None


def _box(face: TrackedFace) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, face.found.box)
    return x, y, width, height
