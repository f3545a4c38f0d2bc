"""What a detector of faces is, and what all of them share: one box for one face."""

from typing import Protocol

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.senses.face import Pixels

MOST_OVERLAP = 0.3  # intersection over union of two boxes of different faces, as OpenCV has it


class Detector(Protocol):
    """Finds all faces of a picture. One thread at a time may use it."""

    name: str
    searched_pixels: int  # along the longer side of a picture; larger ones are scaled down first

    def detect(self, picture: Pixels) -> tuple[Floats, Floats]:
        """Return boxes (n, 4), x, y, width and height in pixels, and scores (n,) from 0 to 1."""


def keep_best(boxes: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Keep the best of the boxes (n, 4) that lie on one another, best first."""
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    ends, areas = boxes[:, :2] + boxes[:, 2:], boxes[:, 2:].prod(axis=1)
    is_open = np.ones(len(boxes), bool)
    kept = []
    for i in range(len(boxes)):
        if is_open[i]:
            kept.append(i)
            sides = np.minimum(ends, ends[i]) - np.maximum(boxes[:, :2], boxes[i, :2])
            shared = np.maximum(sides, 0).prod(axis=1)
            is_open &= shared <= MOST_OVERLAP * (areas + areas[i] - shared)
    return boxes[kept], scores[kept]
