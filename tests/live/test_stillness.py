"""A room in which nobody is and nothing moves costs next to nothing, and whoever comes is found."""

from functools import cache

import numpy as np
import pytest

from dcet.live import LiveSession, SeenFaces
from dcet.live.seeing.stillness import Stillness
from dcet.runtime import Bundle
from dcet.runtime.senses.face import Pixels
from tests.live.scenes import Finder
from tests.runtime.signals import face

HEIGHT, WIDTH = 360, 640


@cache
def noisy(number: int) -> Pixels:
    noise = np.random.default_rng(number).normal(0, 4, (HEIGHT, WIDTH, 1))
    return np.clip(np.full((HEIGHT, WIDTH, 3), 120) + noise, 0, 255).astype(np.uint8)


def wall(number: int) -> Pixels:
    """A wall as a camera shows it that is noisy."""
    return noisy(number % 7).copy()


def test_noise_is_still_and_a_small_face_is_not() -> None:
    stillness = Stillness()
    assert not stillness.is_still(wall(0))  # nothing was searched yet
    stillness.searched(wall(0))
    assert all(stillness.is_still(wall(number)) for number in range(7))
    small = round(0.03 * WIDTH)
    for left, top in ((0, 0), (311, 173), (328, 184), (WIDTH - small, HEIGHT - small)):
        picture = wall(1)
        picture[top : top + small, left : left + small] = face(small, 1)
        assert not stillness.is_still(picture)


@pytest.mark.parametrize(
    "other",
    [
        b"a file",
        wall(0)[:, : WIDTH // 2],  # another size
        wall(0).astype(np.float32),
        wall(0)[..., :0],
        wall(0)[:9],
        wall(0) // 2,  # the light is dimmed
    ],
)
def test_what_cannot_be_compared_or_differs_is_searched(other: object) -> None:
    stillness = Stillness()
    stillness.searched(wall(0))
    assert not stillness.is_still(other)  # type: ignore[arg-type]


def test_grey_pictures_are_compared_too() -> None:
    stillness = Stillness()
    stillness.searched(wall(0)[..., 0])
    assert stillness.is_still(wall(1)[..., 0])


class OneFace(Finder):
    """Finds the face that hangs at the wall's left, where there is one."""

    def find_all(self, frame: Pixels) -> list:  # type: ignore[type-arg]
        self.searched += 1
        return super().find_all(frame[:60, :60]) if frame[30, 30, 0] < 60 else []


def test_an_empty_room_is_searched_every_two_seconds_and_who_comes_is_found_at_once(
    hearing: Bundle,
) -> None:
    seen: list[SeenFaces] = []
    finder = OneFace()
    session = LiveSession(hearing, threaded=False, face_finder=finder, on_faces=seen.append)
    for i in range(10 * 20):
        session.push_frame(wall(i), i * 50_000)
    assert finder.searched == 5
    for i in range(10 * 20, 12 * 20):
        picture = wall(i)
        picture[:60, :60] = 30
        session.push_frame(picture, i * 50_000)
    session.close()
    first = next(each for each in seen if each.faces)
    assert first.pts_us - 10_000_000 < 250_000


def test_a_room_that_somebody_left_is_searched_as_before_for_five_seconds(hearing: Bundle) -> None:
    seen: list[SeenFaces] = []
    session = LiveSession(hearing, threaded=False, face_finder=OneFace(), on_faces=seen.append)
    for i in range(10 * 20):
        picture = wall(i)
        if i < 20:
            picture[:60, :60] = 30
        session.push_frame(picture, i * 50_000)
    session.close()
    times_us = [each.pts_us for each in seen]
    assert [at for at in times_us if 1_250_000 < at < 6_000_000] == [
        *range(1_500_000, 6_000_000, 500_000)
    ]
    assert len([at for at in times_us if at >= 6_000_000]) == 2
