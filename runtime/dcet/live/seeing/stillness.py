"""Whether a camera still shows what it showed when faces were searched last."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.extras import need
from dcet.runtime.turn import Image

SAMPLES = 320  # pixels that are looked at along the longer side, at least
CELLS = 64  # along the longer side: a face of 3 % of it fills at least one, or almost
CHANGED = 6.0  # of 255, in the mean of a cell; noise of 4 in each pixel moves none by more than 5


class Stillness:
    """Compares pictures roughly: above a camera's noise, and below a small face that appears."""

    def __init__(self) -> None:
        self._cells: NDArray[np.float32] | None = None  # of the picture that was searched

    def is_still(self, image: Image) -> bool:
        """Say whether this picture is like the one that was searched. Files are not opened for it,
        so that they never are."""
        cells = _cells(image)
        before = self._cells
        if cells is None or before is None or cells.shape != before.shape:
            return False
        return float(np.abs(cells - before).max()) < CHANGED

    def searched(self, image: Image) -> None:
        """Take this picture for the one to compare with."""
        self._cells = _cells(image)


def _cells(image: Image) -> NDArray[np.float32] | None:
    """Return the mean colour in each cell of a picture; None where it is none, or too small."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        return None
    if image.ndim < 2 or image.shape[2:] not in ((), (1,), (3,), (4,)):
        return None
    height, width = image.shape[:2]
    if min(height, width) < CELLS // 2:
        return None
    step = max(1, max(height, width) // SAMPLES)
    some = np.ascontiguousarray(image[::step, ::step])
    cv2: Any = need("cv2", extra="live")
    scale = CELLS / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    cells = cv2.resize(some, size, interpolation=cv2.INTER_AREA)
    means: NDArray[np.float32] = cells.astype(np.float32)
    return means
