"""What a person looks like, for as long as light and clothes stay: colours and edges, no identity.

Nothing here is learnt from faces and nothing is meant to know a person again on another day.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels

LAB_BINS = [6, 12, 12]
LAB_RANGES = [0, 256, 88, 168, 88, 168]  # of OpenCV's 8 bit Lab: skin, hair and clothes lie inside
EDGE_PIXELS = 48  # sides of the grey face that edges are read from
EDGE_CELLS = 6
EDGE_BINS = 8
BODY_TOP, BODY_BOTTOM = 1.3, 2.3  # heights of the face box, from its top
BODY_WIDTH = 1.8  # widths of the face box
LEAST_BODY = 0.4  # of that region's height that must lie inside the frame
BODY_PIXELS = 64  # along a side, at most, that are counted
_COLOURS = int(np.prod(LAB_BINS))
_EDGES = EDGE_CELLS**2 * EDGE_BINS
LOOK_WIDTH = 2 * _COLOURS + _EDGES
# Of two sights of one person the unlikeness was 0.6 at most, of two people 0.67 to 0.98.
OTHER = 0.62  # from which a face is another person's, however near
SAME = 0.5  # up to which it may be a person who returns, wherever
CLEARER = 0.1  # by which the person who returns must be more alike than any other


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Unit vectors: square roots of colour histograms, and edge directions of the face."""

    face: Floats
    edges: Floats
    body: Floats | None  # None where the body is out of the frame

    def unlike(self, other: "Appearance") -> float:
        """Return how unlike the two are: 0 for the same pixels, about 1.3 for nothing in common.

        The Hellinger distance of the colours, of face and body the root mean square, plus 1 - the
        cosine of the edges.
        """
        colours = [1 - float(self.face @ other.face)]
        if self.body is not None and other.body is not None:
            colours.append(1 - float(self.body @ other.body))
        apart = float(np.sqrt(max(0.0, sum(colours) / len(colours))))
        return apart + 1 - float(self.edges @ other.edges)

    def as_array(self) -> Floats:
        """Return all of it as (LOOK_WIDTH,), the body zeros where there is none."""
        body = np.zeros(_COLOURS, np.float32) if self.body is None else self.body
        return np.concatenate([self.face, self.edges, body])

    @staticmethod
    def from_array(array: Floats) -> "Appearance":
        """Return what `as_array` made into (LOOK_WIDTH,)."""
        face, edges, body = np.split(array.astype(np.float32), [_COLOURS, _COLOURS + _EDGES])
        return Appearance(face, edges, body if body.any() else None)


def appearance(pixels: Pixels, box: Floats, frame: Pixels | None) -> Appearance:
    """Describe a face (height, width, 3), and the clothes below it where the RGB frame is given, in
    which it lies at the box (4,)."""
    cv2: Any = need("cv2", extra="faces")
    body = None if frame is None else _below(box, frame)
    return Appearance(
        face=_colours(cv2, pixels),
        edges=_edges(cv2, pixels),
        body=None if body is None else _colours(cv2, body),
    )


def _below(box: Floats, frame: Pixels) -> Pixels | None:
    x, y, width, height = (float(side) for side in box)
    rows, columns = frame.shape[:2]
    top, bottom = y + BODY_TOP * height, min(rows, y + BODY_BOTTOM * height)
    if bottom - top < LEAST_BODY * (BODY_BOTTOM - BODY_TOP) * height:
        return None
    left = max(0, int(x + width / 2 - BODY_WIDTH * width / 2))
    right = min(columns, int(x + width / 2 + BODY_WIDTH * width / 2))
    part = frame[max(0, int(top)) : int(bottom), left:right]
    if part.size == 0:
        return None
    step_y, step_x = (-(-size // BODY_PIXELS) for size in part.shape[:2])
    return np.ascontiguousarray(part[::step_y, ::step_x])


def _colours(cv2: Any, pixels: Pixels) -> Floats:
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [0, 1, 2], None, LAB_BINS, LAB_RANGES).ravel()
    shares: Floats = np.sqrt(counts / max(1.0, counts.sum()))
    return shares


def _edges(cv2: Any, pixels: Pixels) -> Floats:
    """Histograms of gradient directions in a grid of cells (Dalal and Triggs, CVPR 2005)."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (EDGE_PIXELS, EDGE_PIXELS), interpolation=cv2.INTER_AREA)
    down, right = np.gradient(grey.astype(np.float32))
    direction = (np.arctan2(down, right) % np.pi) / np.pi * EDGE_BINS
    cell = np.arange(EDGE_PIXELS) * EDGE_CELLS // EDGE_PIXELS
    bins = np.minimum(direction.astype(np.int64), EDGE_BINS - 1)
    bins += EDGE_BINS * (EDGE_CELLS * cell[:, None] + cell)
    strength = np.sqrt(np.hypot(down, right))
    counts = np.bincount(bins.ravel(), strength.ravel(), _EDGES)
    cells = counts.reshape(-1, EDGE_BINS).astype(np.float32)
    cells /= np.linalg.norm(cells, axis=1, keepdims=True) + 1.0
    edges: Floats = cells.ravel() / max(1e-6, float(np.linalg.norm(cells)))
    return edges
