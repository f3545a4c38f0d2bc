"""When whole pictures are searched for faces, and when only where they were."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.speaker import find_speaker
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FaceFinder, FoundFace

STEPS = 12
WHOLE, AGAIN = "whole", "again"


class Noted(FaceFinder):
    """Finds one face, or nobody in the steps in which it is hidden, and notes how it was asked."""

    def __init__(self, hidden: Sequence[int] = ()) -> None:
        self.asked: list[tuple[int, str]] = []
        self.hidden = hidden

    def find_all(self, frame: Pixels) -> list[FoundFace]:
        step = int(frame[0, 0, 0])
        self.asked.append((step, WHOLE))
        draw = np.random.default_rng(0)
        pixels = draw.integers(0, 255, (96, 96, 3)).astype(np.uint8)
        place, box = np.array([0.375, 0.3, 0.25]), np.array([40, 10, 40, 40])
        face = FoundFace(pixels, 0.9, place.astype(np.float32), box.astype(np.float32))
        return [] if step in self.hidden else [face]

    def find_again(self, frame: Pixels, faces: Sequence[FoundFace]) -> list[FoundFace] | None:
        step = int(frame[0, 0, 0])
        self.asked.append((step, AGAIN))
        return None if step in self.hidden else list(faces)


@pytest.mark.parametrize(
    ("hidden", "whole"), [((), [0, 5, 10]), ((0,), [0, 1, 5, 10]), ((7,), [0, 5, 7, 8, 10])]
)
def test_whole_pictures_are_searched_when_they_must_be(
    config: BuildConfig, hidden: Sequence[int], whole: Sequence[int]
) -> None:
    pictures = [
        (step * config.step_us, np.full((100, 160, 3), step, np.uint8)) for step in range(STEPS)
    ]
    finder = Noted(hidden)
    faces = find_speaker(pictures, None, STEPS * config.step_us, config, finder)
    assert [step for step, how in finder.asked if how == WHOLE] == whole
    assert (faces.frames, faces.face_frames) == (STEPS, STEPS - len(hidden))
    always = Noted(hidden)
    every = dataclasses.replace(config, steps_per_search=1)
    again = find_speaker(pictures, None, STEPS * config.step_us, every, always)
    assert always.asked == [(step, WHOLE) for step in range(STEPS)]
    np.testing.assert_array_equal(again.times_us, faces.times_us)
