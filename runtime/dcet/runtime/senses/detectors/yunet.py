"""YuNet in ONNX Runtime, for pictures of any size.

Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", 2023. It is decoded as OpenCV's
FaceDetectorYN decodes it, and runs in a third of the time that OpenCV takes.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.runtime.senses.detectors.detector import keep_best
from dcet.runtime.senses.face import Pixels

STRIDES = (8, 16, 32)
OUTPUTS = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in STRIDES]
MIN_SCORE = 0.7  # at 0.6, five times as many are wrong, and no more are right

_DIMENSION = rb"\n\x03\x08[\x80-\xff][\x01-\x7f]"
_FIXED_INPUT = re.compile(rb"(\n\x02\x08\x01\n\x02\x08\x03)" + _DIMENSION * 2)  # 1, 3, and the size


class YuNet:
    """A YuNet ONNX file. Raises ConfigError where `model` is no such file."""

    name = "yunet"
    searched_pixels = 640

    def __init__(self, model: Path) -> None:
        # Imported here: `import dcet.runtime` loads no engine.
        from dcet.runtime.engines.onnxruntime import CPU, FAILURES, onnxruntime, session_options

        self._cv2: Any = need("cv2", extra="faces")
        options = session_options("find")
        options.enable_mem_pattern = False  # or each size of picture leaves one behind
        try:
            data = _any_size(model.read_bytes())
            self._session = onnxruntime.InferenceSession(data, options, providers=[CPU])
            self.detect(np.zeros((64, 64, 3), np.uint8))  # another network loads, and fails here
        except (OSError, *FAILURES) as error:
            raise ConfigError(
                f"{model}: expected a YuNet face detector as ONNX: {str(error).strip()}; give "
                "another file, or none to use the best detector that is installed"
            ) from error

    def detect(self, picture: Pixels) -> tuple[Floats, Floats]:
        """Find all faces, as Detector has it."""
        height, width = (-(-size // STRIDES[-1]) * STRIDES[-1] for size in picture.shape[:2])
        padded = np.zeros((height, width, 3), np.uint8)
        padded[: picture.shape[0], : picture.shape[1]] = picture
        image = self._cv2.dnn.blobFromImage(padded, swapRB=True)
        outputs = self._session.run(OUTPUTS, {"input": image})
        boxes, scores = [], []
        for stride, one, object, box in zip(STRIDES, *_by_kind(outputs), strict=True):
            score = np.sqrt(np.clip(one, 0, 1) * np.clip(object, 0, 1)).ravel()
            (sure,) = (score >= MIN_SCORE).nonzero()
            row, column = np.divmod(sure, width // stride)
            middle = np.stack([column, row], axis=1) + box[0, sure, :2]
            size = np.exp(box[0, sure, 2:])
            boxes.append(np.concatenate([middle - size / 2, size], axis=1) * stride)
            scores.append(score[sure])
        return keep_best(np.concatenate(boxes), np.concatenate(scores))


def _by_kind(outputs: list[Floats]) -> list[list[Floats]]:
    count = len(STRIDES)
    return [outputs[i : i + count] for i in range(0, len(outputs), count)]


def _any_size(model: bytes) -> bytes:
    """Let a network take pictures of any size, though it was exported for one alone.

    Its layers are convolutions, but ONNX Runtime holds a graph to the input that it names. In the
    file a dimension from 128 to 16,383 takes as many bytes as one that has a name of one letter.
    """
    return _FIXED_INPUT.sub(rb"\1" + b"\n\x03\x12\x01h\n\x03\x12\x01w", model)
