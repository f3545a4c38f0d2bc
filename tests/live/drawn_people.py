"""Drawn people in drawn frames: each has a face, clothes and a mouth of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FoundFace

FACE = 60  # pixels of a face's side
WIDTH, HEIGHT = 640, 300


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A face of random blotches and clothes of one colour."""

    face: Pixels
    clothes: tuple[int, int, int]

    @classmethod
    def drawn(cls, seed: int) -> "Person":
        rng = np.random.default_rng(seed)
        skin, clothes = rng.integers(40, 220, (2, 3))
        blotches = rng.normal(0, 40, (7, 7, 1)) + skin
        face = cv2.resize(blotches, (FACE, FACE), interpolation=cv2.INTER_CUBIC)
        return cls(
            np.clip(face, 0, 255).astype(np.uint8),
            (int(clothes[0]), int(clothes[1]), int(clothes[2])),
        )


def draw(
    people: Mapping[int, tuple[float, float]],
    known: Mapping[int, Person],
    mouths: Mapping[int, float] = MappingProxyType({}),
) -> tuple[Pixels, list[FoundFace]]:
    """Return a frame with people at these middles of their faces, the first named the farthest
    away, and their faces; `mouths` says how far theirs are open, in [0, 1]."""
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for person, (x, y) in people.items():
        left, top = round(x - FACE / 2), round(y - FACE / 2)
        right = max(0, left + FACE + 20)
        frame[max(0, top + FACE) : HEIGHT, max(0, left - 20) : right] = known[person].clothes
        face = known[person].face.copy()
        opening = round(10 * mouths.get(person, 0.0))
        cv2.ellipse(face, (FACE // 2, 46), (9, 2 + opening), 0, 0, 360, (60, 20, 20), -1)
        frame[max(0, top) : top + FACE, max(0, left) : max(0, left + FACE)] = face[
            max(0, -top) :, max(0, -left) :
        ][:, : WIDTH - max(0, left)]
    return frame, [_found(frame, x, y) for x, y in people.values()]


def _found(frame: Pixels, x: float, y: float) -> FoundFace:
    left, top = round(x - FACE / 2), round(y - FACE / 2)
    square = frame[max(0, top) : top + FACE, max(0, left) : left + FACE]
    pixels = cv2.resize(square, (96, 96)).astype(np.uint8)
    place: Floats = np.array([x / WIDTH, y / HEIGHT, FACE / WIDTH], np.float32)
    return FoundFace(pixels, 0.9, place, np.array([left, top, FACE, FACE], np.float32))
