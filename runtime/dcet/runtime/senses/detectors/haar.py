"""The Haar cascade that comes with OpenCV 4, which finds frontal faces that are not small.

Viola and Jones, "Rapid object detection using a boosted cascade of simple features", 2001.
"""

from pathlib import Path
from typing import Any

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels

MIN_FACE_PIXELS = 36  # along a side; what it finds below that are mostly no faces
SCALE_STEP = 1.2  # between the sizes of face that are searched; 1.1 takes twice as long
MIN_HITS = 4  # overlapping windows that must agree on a face
SURE_HITS = 10.0  # at which the score is 0.63; faces in the open have 15 to 40
LEAST_OF_BEST = 0.5


class Haar:
    """It gives no probability: the score is 1 - exp(-hits / 10) for a face on which so many windows
    agree. What has less than half the best score of a picture is taken for no face."""

    name = "haar"
    searched_pixels = 480

    def __init__(self) -> None:
        self._cv2: Any = need("cv2", extra="faces")
        folder = Path(self._cv2.data.haarcascades)
        self._cascade = self._cv2.CascadeClassifier(
            str(folder / "haarcascade_frontalface_default.xml")
        )

    def detect(self, picture: Pixels) -> tuple[Floats, Floats]:
        """Find all faces, as Detector has it."""
        found, hits = self._cascade.detectMultiScale2(
            self._cv2.cvtColor(picture, self._cv2.COLOR_RGB2GRAY),
            scaleFactor=SCALE_STEP,
            minNeighbors=MIN_HITS,
            minSize=(MIN_FACE_PIXELS, MIN_FACE_PIXELS),
        )
        boxes = np.array(found, np.float32).reshape(-1, 4)
        scores = 1 - np.exp(-np.array(hits, np.float32).ravel() / SURE_HITS)
        kept = scores >= LEAST_OF_BEST * scores.max(initial=0)
        return boxes[kept], scores[kept]
