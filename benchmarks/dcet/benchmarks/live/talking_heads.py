"""People to put side by side: clips of talking heads, and the same with the mouth kept shut.

The mouth of one frame, shut, is painted over every other one, moved with the head: what is left is
all that a listener's face does (turning, nodding, blinking), but for the mouth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.media.media_file import MediaFile, Sound
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.errors import UnusableMedia
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FaceFinder

TILE_PIXELS = 360  # sides of a head's pictures
TILE_FACES = 4.0  # sides of the face that a tile is wide
TILE_TOP = 1.3  # sides of the face above its middle
ALIGNED_PIXELS = 96  # of the face, where its movement is found
RIGID = (slice(12, 58), slice(10, 86))  # brow to nose, in those
MOUTH_MIDDLE, MOUTH_RADII = (0.5, 0.79), (0.27, 0.21)  # of the face's side
MOST_STEPS = 30

Affine = NDArray[np.floating]  # (3, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """One person's pictures and voice."""

    talking: Sequence[Pixels]  # (360, 360, 3) each
    resting: Sequence[Pixels]  # the same moments with the mouth shut
    frame_rate: float
    sound: Floats  # (n,) at 16 kHz, of the same time
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of red, green and blue
    mirrored: bool = False

    def another(self, *, speed: float, gains: tuple[float, float, float]) -> "Head":
        """Return another person made of this one: `speed` times as fast, the voice that much
        higher, in other colours, left and right swapped."""
        heard = np.arange(int(len(self.sound) / speed)) * speed
        sound = np.interp(heard, np.arange(len(self.sound)), self.sound).astype(np.float32)
        rate = self.frame_rate * speed
        return Head(self.talking, self.resting, rate, sound, gains, not self.mirrored)

    def picture(self, at_s: float, *, talks: bool) -> Pixels:
        """Return the picture at a time of the clip, which is played forwards and backwards."""
        pictures = self.talking if talks else self.resting
        there = round(at_s * self.frame_rate) % (2 * len(pictures) - 2)
        picture = pictures[min(there, 2 * len(pictures) - 2 - there)]
        if self.gains != (1.0, 1.0, 1.0):
            brighter = picture * np.array(self.gains, np.float32)
            picture = np.minimum(brighter, 255).astype(np.uint8)
        return picture[:, ::-1] if self.mirrored else picture


def read_head(path: Path, shut_s: float, finder: FaceFinder, *, most_s: float = 60) -> Head:
    """Read the first `most_s` of a clip of one talking head, whose mouth is shut at `shut_s`. It
    takes about as long as it lasts.

    Raises UnusableMedia where a picture shows no face, DataNotFound, MissingExtra.
    """
    cv2: Any = need("cv2", extra="live")
    media = MediaFile(path)
    tiles: list[Pixels] = []
    sounds: list[Sound] = []
    first: Floats | None = None
    for block in media:
        if block.pts_us >= most_s * 1e6:
            break
        if isinstance(block, Sound):
            sounds.append(block)
            continue
        if first is None:
            first = _box(path, finder, block.pixels)
        tiles.append(_tile(cv2, block.pixels, first))
    boxes = _steady(np.array([_box(path, finder, tile) for tile in tiles]))
    frame_rate = float(media.frame_rate)
    resting = _shut_mouths(cv2, tiles, boxes, min(round(shut_s * frame_rate), len(tiles) - 1))
    return Head(tiles, resting, frame_rate, at_16_khz(sounds))


def at_16_khz(sounds: Sequence[Sound]) -> Floats:
    """Return the sound of a file (n,) at 16 kHz. Needs the extra `live`."""
    soxr: Any = need("soxr", extra="live")
    pcm = np.concatenate([block.samples for block in sounds])
    heard: Floats = soxr.resample(pcm, sounds[0].sample_rate_hz, SAMPLE_RATE_HZ)
    return heard.astype(np.float32)


def _box(path: Path, finder: FaceFinder, picture: Pixels) -> Floats:
    found = finder.find_all(picture)
    if not found:
        raise UnusableMedia(f"{path}: expected a face in every picture; take another clip")
    return found[0].box


def _tile(cv2: Any, picture: Pixels, box: Floats) -> Pixels:
    height, width = picture.shape[:2]
    face = float(box[2:].max())
    side = min(round(TILE_FACES * face), height, width)
    x, y = box[:2] + box[2:] / 2
    left = int(np.clip(x - side / 2, 0, width - side))
    top = int(np.clip(y - TILE_TOP * face, 0, height - side))
    tile: Pixels = cv2.resize(
        picture[top : top + side, left : left + side],
        (TILE_PIXELS, TILE_PIXELS),
        interpolation=cv2.INTER_AREA,
    )
    return tile


def _steady(boxes: Floats) -> Floats:
    """Take the trembling of the detector out of boxes (n, 4): medians of five frames."""
    padded = np.pad(boxes, ((2, 2), (0, 0)), mode="edge")
    steady: Floats = np.median([padded[i : i + len(boxes)] for i in range(5)], axis=0)
    return steady


def _shut_mouths(cv2: Any, tiles: list[Pixels], boxes: Floats, shut: int) -> list[Pixels]:
    """Paint the mouth of the tile numbered `shut` over that of every tile."""
    to_face = [_to_face(box) for box in boxes]
    faces = [
        _warped(cv2, tile, to, ALIGNED_PIXELS) for tile, to in zip(tiles, to_face, strict=True)
    ]
    mask = np.zeros((ALIGNED_PIXELS, ALIGNED_PIXELS), np.float32)
    middle, radii = (
        tuple(round(share * ALIGNED_PIXELS) for share in shares)
        for shares in (MOUTH_MIDDLE, MOUTH_RADII)
    )
    cv2.ellipse(mask, middle, radii, 0, 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 5)
    mask = _warped(cv2, mask, np.linalg.inv(to_face[shut]), TILE_PIXELS)
    painted = []
    for tile, to, face in zip(tiles, to_face, faces, strict=True):
        moved = np.linalg.inv(to) @ _head_moved(cv2, faces[shut], face) @ to_face[shut]
        mouth = _warped(cv2, tiles[shut], moved, TILE_PIXELS).astype(np.float32)
        share = _warped(cv2, mask, moved, TILE_PIXELS)[:, :, None]
        rim = (share > 0.1) & (share < 0.5)
        light = tile.mean(axis=(0, 1), where=rim) / mouth.mean(axis=(0, 1), where=rim)
        blended = share * mouth * light + (1 - share) * tile
        painted.append(np.clip(blended, 0, 255).astype(np.uint8))
    return painted


def _to_face(box: Floats) -> Affine:
    """Return what maps pixels of a tile to those of the square face."""
    side = float(box[2:].max())
    left, top = box[:2] + box[2:] / 2 - side / 2
    scale = ALIGNED_PIXELS / side
    return np.array([[scale, 0, -left * scale], [0, scale, -top * scale], [0, 0, 1]])


def _head_moved(cv2: Any, before: Pixels, now: Pixels) -> Affine:
    """Return what maps one face to the other, by what is rigid in it (Evangelidis and Psarakis,
    "Parametric image alignment", PAMI 2008)."""
    rigid = np.zeros(before.shape[:2], np.uint8)
    rigid[RIGID] = 1
    grey = [cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in (before, now)]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, MOST_STEPS, 1e-4)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        # from the second picture to the first: which warpAffine takes as "to here from there"
        _, found = cv2.findTransformECC(
            grey[1], grey[0], start, cv2.MOTION_AFFINE, criteria, rigid, 5
        )
    except cv2.error:  # nothing in common was found: the boxes alone say how it moved
        found = start
    return np.linalg.inv(np.vstack([found, [0, 0, 1]]))


def _warped(cv2: Any, picture: Any, to: Affine, pixels: int) -> Any:
    return cv2.warpAffine(picture, to[:2], (pixels, pixels), flags=cv2.INTER_LINEAR)
