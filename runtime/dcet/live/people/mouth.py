"""How much a mouth moves beyond what the movement of its head explains."""

from collections import deque
from typing import Any

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import square_around

FACE_PIXELS = 64  # sides of the grey face that is compared
MOUTH = (slice(40, 58), slice(20, 44))  # rows and columns of it
UPPER = (slice(10, 36), slice(10, 54))  # brow to nose: moves with the head, hardly with speech
HEAD = (slice(8, 38), slice(8, 56))  # where the movement of the head is read
EVERY = 7  # one of so many of its pixels
SHIFT = 4  # pixels that a part may lie away from where the head's movement puts it
NOISE = 40.0  # variance that a picture's noise alone may have, in squared grey levels
FLOOR = 0.06  # news that any two pictures of the same have
YOUNGEST_US, OLDEST_US = 150_000, 720_000  # before now, of what a face is compared with
AGES_US = (330_000, 660_000)  # compared with, where there are such: those of 3 frames a second
EVERY_US = 90_000  # a mouth is looked at
FITS = 4  # of the head's movement, each giving less weight to what did not fit the last


class MouthMotion:
    """Follows the mouth of one face. What it looks back on is at most 0.72 s old.

    Compares with the faces of about one and two thirds of a second ago, whatever the rate of frames
    is, so that 3 and 60 frames a second measure the same. One thread at a time.
    """

    def __init__(self) -> None:
        self._cv2: Any = need("cv2", extra="live")
        self._flow = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(1)
        self._past: deque[tuple[int, Pixels]] = deque()

    def update(self, pts_us: int, frame: Pixels, box: Floats) -> float | None:
        """Return the logarithm of how much more of the mouth is new than of the upper face, since
        one or the other: about 0 at rest, 0.9 in speech. None with nothing to compare to, and
        sooner than 90 ms after the last look.

        frame: (height, width, 3) RGB
        box: (4,) left, top, width and height of the face in it; a recent one will do
        """
        if self._past and 0 <= pts_us - self._past[-1][0] < EVERY_US:
            return None
        while self._past and not 0 < pts_us - self._past[0][0] <= OLDEST_US:
            self._past.popleft()
        face = self._cut(frame, box)
        compared = [past for past in self._past if pts_us - past[0] >= YOUNGEST_US]
        self._past.append((pts_us, face))
        if not compared:
            return None
        nearest = {
            min(range(len(compared)), key=lambda past: abs(pts_us - compared[past][0] - age))
            for age in AGES_US
        }
        return max(self._moved(compared[past][1], face) for past in nearest)

    def _moved(self, before: Pixels, now: Pixels) -> float:
        before = self._as_the_head_moved(before, now)
        mouth, upper = (self._news(before, now, area) for area in (MOUTH, UPPER))
        return float(np.log((mouth + FLOOR) / (upper + FLOOR)))

    def _cut(self, frame: Pixels, box: Floats) -> Pixels:
        """Return the square around the box in grey."""
        small = self._cv2.resize(
            square_around(frame, box),
            (FACE_PIXELS, FACE_PIXELS),
            interpolation=self._cv2.INTER_AREA,
        )
        grey: Pixels = self._cv2.cvtColor(small, self._cv2.COLOR_RGB2GRAY)
        return grey

    def _as_the_head_moved(self, before: Pixels, now: Pixels) -> Pixels:
        """Return the earlier face where the head is now: moved by the affine map that fits the
        optical flow of the upper face best (Kroeger et al., "Fast optical flow using dense inverse
        search", ECCV 2016)."""
        flow = self._flow.calc(now, before, None)
        rows, columns = np.mgrid[HEAD]
        here = np.stack([columns.ravel(), rows.ravel()], axis=1)[::EVERY]
        there = here + flow[HEAD].reshape(-1, 2)[::EVERY]
        places = np.c_[here, np.ones(len(here))]
        weights = np.ones((len(here), 1))
        for _ in range(FITS):
            affine = np.linalg.lstsq(places * weights, there * weights, rcond=None)[0]
            missed = np.linalg.norm(places @ affine - there, axis=1, keepdims=True)
            weights = 1 / (1 + (missed / (np.median(missed) + 0.05)) ** 2)
        moved: Pixels = self._cv2.warpAffine(
            before,
            affine.T,
            (FACE_PIXELS, FACE_PIXELS),
            flags=self._cv2.INTER_LINEAR | self._cv2.WARP_INVERSE_MAP,
            borderMode=self._cv2.BORDER_REPLICATE,
        )
        return moved

    def _news(self, before: Pixels, now: Pixels, area: tuple[slice, slice]) -> float:
        """Return 1 - the best correlation of `area` with what lies about there before."""
        rows, columns = area
        around = before[
            rows.start - SHIFT : rows.stop + SHIFT, columns.start - SHIFT : columns.stop + SHIFT
        ]
        part = now[area]
        alike = float(self._cv2.matchTemplate(around, part, self._cv2.TM_CCOEFF_NORMED).max())
        variance = float(part.var())
        return max(0.0, 1 - alike) * variance / (variance + NOISE)
