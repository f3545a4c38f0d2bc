"""Prepares images as a host has them for a face encoder, and measures how good they are."""

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import FACE_PIXELS, LUMA, Floats
from dcet.runtime.extras import need
from dcet.runtime.senses.picture_size import picture_size
from dcet.runtime.senses.quality import face_quality
from dcet.runtime.turn import Colors, Image, Unusable, check_image

MIN_PIXELS = 12  # along a side
MAX_MEGAPIXELS = 64  # of one picture, which take 0.2 GB; a frame of 8K video has 33
MIN_CONTRAST = 8  # of 255: below it, what is left of nothing after a lossy codec
ENOUGH_PIXELS = 96  # along a side: more cost time and show the encoder nothing new

T = TypeVar("T")
Pixels = NDArray[np.uint8]  # (height, width, 3) RGB, or several


def spread(items: Sequence[T], most: int) -> list[tuple[int, T]]:
    """Choose at most `most` of the items, evenly spread from first to last, with their places."""
    count = min(len(items), most)
    return [(int(i), items[int(i)]) for i in np.linspace(0, len(items) - 1, count).round()]


def to_rgb(image: Image, colors: Colors) -> Pixels:
    """Decode bytes; drop alpha; give grey three channels. Raises Unusable, or MissingExtra."""
    check_image(image)
    if isinstance(image, bytes):
        image, colors = _decode(image), "bgr"
    image = np.asarray(image)
    height, width = image.shape[:2]
    _check_size(height, width)
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(height, width, 1), 3, axis=2)
    rgb: Pixels = np.ascontiguousarray(image[..., 2::-1] if colors == "bgr" else image[..., :3])
    return rgb


def to_crop(pixels: Pixels) -> Pixels:
    """Make a face as the encoder takes it: large ones smaller, each side by a whole factor.

    Raises Unusable where all pixels are alike.
    """
    if np.ptp(pixels[::4, ::4], axis=(0, 1)).max() < MIN_CONTRAST:  # a sixteenth tells enough
        raise Unusable("all its pixels are alike")
    rows, columns = (max(1, size // ENOUGH_PIXELS) for size in pixels.shape[:2])
    if rows == columns == 1:
        return pixels
    # Of very large ones, a pixel in four or so along each side tells as much as the mean of all.
    step_down, step_right = max(1, rows // 4), max(1, columns // 4)
    pixels = pixels[::step_down, ::step_right]
    rows, columns = rows // step_down, columns // step_right
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    blocks = pixels[: height * rows, : width * columns].reshape(height, rows, width, columns, 3)
    smaller: Pixels = blocks.mean(axis=(1, 3), dtype=np.float32).round().astype(np.uint8)
    return smaller


def crop_qualities(pixels: Pixels) -> Floats:
    """Measure how well each face of (n, height, width, 3) can be judged: (n,) from 0 to 1, at about
    the size at which the encoder takes it."""
    red, green, blue = np.moveaxis(_scaled(_scaled(pixels, axis=1), axis=2), -1, 0)
    return face_quality(LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)


def _scaled(pixels: NDArray[Any], axis: int) -> Floats:
    """Scale to 48 along an axis.

    Not as a product of matrices: NumPy would hand it to threads that still spin when the engine
    needs the cores, and a turn on two of them took 2 ms longer.
    """
    places, weights = _taps(pixels.shape[axis])
    along = [-1 if i == axis else 1 for i in range(pixels.ndim)]
    scaled: Floats = sum(
        np.take(pixels, place, axis) * weight.reshape(along)
        for place, weight in zip(places, weights, strict=True)
    )
    return scaled


def _decode(data: bytes) -> Pixels:
    """Decode a picture into BGR, unless its header says that it is too large. Raises Unusable."""
    cv2 = need("cv2", extra="faces")
    image: Pixels | None = None
    size = picture_size(data)
    if size is not None:
        _check_size(*size)
        with suppress(cv2.error):
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise Unusable(f"{len(data)} bytes that are no JPEG, PNG, WebP or BMP OpenCV can decode")
    return image


def _check_size(height: int, width: int) -> None:
    if min(height, width) < MIN_PIXELS:
        raise Unusable(f"{height}×{width} pixels; at least {MIN_PIXELS}×{MIN_PIXELS} are needed")
    if height * width > MAX_MEGAPIXELS * 1_000_000:
        raise Unusable(f"{height}×{width} pixels; at most {MAX_MEGAPIXELS} megapixels can be used")


@cache
def _taps(size: int) -> tuple[NDArray[np.intp], Floats]:
    """Return (k, 48) places and weights: which pixels of a line of `size` make each of the 48.

    A larger line is averaged as a camera of 48 pixels would have done, which leaves it as sharp as
    the pictures that the measure was made for; a smaller one is interpolated, and is not sharp.
    """
    scale = size / FACE_PIXELS
    source = np.arange(size, dtype=np.float32) + 0.5
    target = (np.arange(FACE_PIXELS, dtype=np.float32) + 0.5) * scale
    weights = np.clip((1 + max(scale, 1.0)) / 2 - np.abs(source - target[:, None]), 0, 1)
    weights /= weights.sum(axis=1, keepdims=True)
    most = (weights > 0).sum(axis=1).max()
    places = np.argsort(-weights, axis=1, kind="stable")[:, :most]
    return places.T, np.take_along_axis(weights, places, axis=1).T.astype(np.float32)
