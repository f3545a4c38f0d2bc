"""Finds the speaker's face in whole frames, and the same face again in later ones."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels
from dcet.runtime.uncopied import Uncopied

SEARCHED_PIXELS = 480  # along the longer side of a frame
CROP_PIXELS = 96
MIN_FACE_PIXELS = 36  # along a side, of the 480
SCALE_STEP = 1.2  # between the sizes of face that Haar searches; 1.1 takes twice as long
MIN_HITS = 4  # overlapping windows that must agree on a face
SURE_HITS = 10.0  # at which the confidence is 0.63; faces in the open have 15 to 40
# Confidence from which a face is used. Of 61 faces that Haar found in 63 frames of talking heads,
# 57 were above; of 11 that it found where there are none, in 40 patterns of noise and shapes and in
# the lower parts of those frames, none: 0.55 at most. YuNet's were 0.92 or more, and one of 0.76.
SURE = 0.6
AROUND = 1.5  # sides of the last face, to each direction: what is searched first
YUNET_MIN_SCORE = 0.6

Detect = Callable[[Pixels], tuple[Floats, Floats]]  # frame -> boxes (n, 4) x y w h, scores (n,)


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """One face of a frame."""

    pixels: Pixels  # (96, 96, 3)
    confidence: float  # in (0, 1]
    place: Floats  # (3,) x and y of its middle, side: shares of width, height, and the longer


class FaceFinder(Uncopied):
    """A detector of faces. It needs the extra `faces` and remembers nothing of a frame.
    One thread at a time may use it.

    model: a YuNet ONNX file; without one, the Haar cascade that comes with OpenCV

    Haar gives no probability: the confidence is 1 - exp(-hits / 10) for a face on which so many
    windows agree. YuNet's is its score. Raises ConfigError where `model` is no such file.
    """

    def __init__(self, model: Path | None = None) -> None:
        self._cv2: Any = need("cv2", extra="faces")
        self._detect = _haar(self._cv2) if model is None else _yunet(self._cv2, model)

    def find(self, frame: Pixels, near: Floats | None = None) -> FoundFace | None:
        """Find the face that is nearest to `near`, a FoundFace's place, or else the largest.

        Around `near` is searched first, which costs a fraction of searching the whole frame.
        """
        height, width = frame.shape[:2]
        scale = min(1.0, SEARCHED_PIXELS / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = self._cv2.resize(frame, size, interpolation=self._cv2.INTER_AREA)
        boxes = confidences = np.empty((0, 4), np.float32)
        if near is not None:
            boxes, confidences = self._search_around(small, near)
        if len(boxes) == 0:
            boxes, confidences = self._detect(small)
        if len(boxes) == 0:
            return None
        boxes = boxes / scale
        middles, sides = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:].max(axis=1)
        if near is None:
            chosen = int(boxes[:, 2:].prod(axis=1).argmax())
        else:
            away = middles - near[:2] * (width, height)
            chosen = int(np.square(away).sum(axis=1).argmin())
        x, y = middles[chosen]
        place = (x / width, y / height, sides[chosen] / max(height, width))
        return FoundFace(
            pixels=self._crop(frame, middles[chosen], float(sides[chosen])),
            confidence=float(confidences[chosen]),
            place=np.array(place, np.float32),
        )

    def _search_around(self, frame: Pixels, near: Floats) -> tuple[Floats, Floats]:
        height, width = frame.shape[:2]
        reach = AROUND * float(near[2]) * max(height, width)
        x, y = float(near[0]) * width, float(near[1]) * height
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        part = np.ascontiguousarray(frame[top : int(y + reach), left : int(x + reach)])
        if part.size == 0:
            return np.empty((0, 4), np.float32), np.empty(0, np.float32)
        boxes, confidences = self._detect(part)
        return boxes + np.array([left, top, 0, 0], np.float32), confidences

    def _crop(self, frame: Pixels, middle: NDArray[Any], side: float) -> Pixels:
        """Cut out the square of this side, moved where it would stick out of the frame."""
        height, width = frame.shape[:2]
        pixels = max(1, min(round(side), height, width))
        left = int(np.clip(round(middle[0] - pixels / 2), 0, width - pixels))
        top = int(np.clip(round(middle[1] - pixels / 2), 0, height - pixels))
        square = frame[top : top + pixels, left : left + pixels]
        crop: Pixels = self._cv2.resize(
            square, (CROP_PIXELS, CROP_PIXELS), interpolation=self._cv2.INTER_AREA
        )
        return crop


_shared = threading.local()


def shared_finder() -> FaceFinder:
    """Return this thread's finder with OpenCV's cascade, which takes 20 ms to load; made on first
    need. Raises MissingExtra."""
    if not hasattr(_shared, "finder"):
        _shared.finder = FaceFinder()
    finder: FaceFinder = _shared.finder
    return finder


def _haar(cv2: Any) -> Detect:
    cascade = cv2.CascadeClassifier(
        str(Path(cv2.data.haarcascades, "haarcascade_frontalface_default.xml"))
    )

    def detect(frame: Pixels) -> tuple[Floats, Floats]:
        boxes, hits = cascade.detectMultiScale2(
            cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY),
            scaleFactor=SCALE_STEP,
            minNeighbors=MIN_HITS,
            minSize=(MIN_FACE_PIXELS, MIN_FACE_PIXELS),
        )
        found = np.array(boxes, np.float32).reshape(-1, 4)
        return found, 1 - np.exp(-np.array(hits, np.float32).ravel() / SURE_HITS)

    return detect


def _yunet(cv2: Any, model: Path) -> Detect:
    def detect(frame: Pixels) -> tuple[Floats, Floats]:
        detector.setInputSize((frame.shape[1], frame.shape[0]))
        _, rows = detector.detect(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        found = np.empty((0, 15), np.float32) if rows is None else rows
        return found[:, :4], found[:, 14]

    try:
        detector = cv2.FaceDetectorYN.create(str(model), "", (0, 0), YUNET_MIN_SCORE)
        detect(np.zeros((64, 64, 3), np.uint8))  # another network loads, and fails here
    except cv2.error as error:
        raise ConfigError(
            f"{model}: expected a YuNet face detector as ONNX, OpenCV says: {str(error).strip()}; "
            "give another file, or none to use OpenCV's own cascade"
        ) from error
    return detect
