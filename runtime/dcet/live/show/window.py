"""A window with what a camera sees, where OpenCV has windows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.extras import need

TITLE = "dcet-live"
NO_WINDOW = (
    "no window: this OpenCV has none (opencv-python-headless), or there is no screen; the view is "
    "in the terminal alone. For a window: pip install opencv-python in its place"
)
ENDS = (ord("q"), 27)  # q and Escape


class Window:
    """Shows pictures; `note` says why it cannot, if so. Needs the extra `live`."""

    def __init__(self) -> None:
        self._cv2: Any = need("cv2", extra="live")
        self.note: str | None = None
        try:
            self._cv2.namedWindow(TITLE, self._cv2.WINDOW_NORMAL)
        except self._cv2.error:
            self.note = NO_WINDOW

    def show(self, pixels: NDArray[np.uint8]) -> bool:
        """Show a picture (height, width, 3) RGB; return whether the user ends the program."""
        self._cv2.imshow(TITLE, pixels[..., ::-1])
        return self._cv2.waitKey(1) & 0xFF in ENDS

    def close(self) -> None:
        if self.note is None:
            self._cv2.destroyWindow(TITLE)
