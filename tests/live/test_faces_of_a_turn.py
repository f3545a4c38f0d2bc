"""The faces that a turn gets: all that were seen, whatever the rate of the camera."""

import numpy as np
import pytest

from dcet.live.people.people import MOST_FACES, Faces, People, Sight, Who
from dcet.live.timeline import SECOND_US


def faces_at(times_us: list[int], start_us: int = 0, end_us: int = 8 * SECOND_US) -> Faces | None:
    """Ask for the faces of a turn; what is seen at a time is that time, in seconds."""
    people = People({"camera": "Ann"}, attribution=False)
    for at_us in times_us:
        seen = np.array([at_us / SECOND_US, 1.0], np.float32)
        people.remember(Sight("camera", 1, at_us, seen, quality=at_us / SECOND_US / 10))
    return people.faces(Who("Ann", 1.0), start_us, end_us)


def test_those_of_a_part_of_the_turn_are_one_and_all_count() -> None:
    found = faces_at([0, 250_000, 500_000, 7_200_000, 8_000_000])
    assert found is not None
    assert found.features[:, 0] == pytest.approx([0.25, 7.6])
    assert found.features[:, 1] == pytest.approx([1, 1])
    assert found.quality == pytest.approx((0.025 + 0.76) / 2)


@pytest.mark.parametrize("rate", [4, 12, 60])
def test_any_rate_of_frames_gives_nearly_the_same(rate: int) -> None:
    found = faces_at([round((n + 0.5) * SECOND_US / rate) for n in range(8 * rate)])
    assert found is not None
    assert len(found.features) == MOST_FACES
    assert found.features[:, 0] == pytest.approx(np.arange(8) + 0.5, abs=1e-3)


def test_a_face_on_the_edge_of_a_turn_is_in_it_and_one_beyond_is_not() -> None:
    found = faces_at([999_999, 1_000_000, 2_000_000, 2_000_001], 1_000_000, 2_000_000)
    assert found is not None
    assert found.features[:, 0] == pytest.approx([1, 2])
    moment = faces_at([3_000_000], 3_000_000, 3_000_000)
    assert moment is not None
    assert len(moment.features) == 1
    assert faces_at([3_000_000], 4_000_000, 5_000_000) is None
