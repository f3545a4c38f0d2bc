"""A person keeps one id, and nobody ever gets another's."""

from collections import defaultdict
from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from dcet.live.people.assignment import assign
from dcet.live.people.face_tracker import MOST_PEOPLE, FaceTracker
from tests.live.drawn_people import Person, draw

KNOWN = {number: Person.drawn(number) for number in range(MOST_PEOPLE + 20)}
Where = Callable[[float], dict[int, tuple[float, float]]]  # second -> person -> middle of the face


def follow(where: Where, seconds: float, rate: float) -> dict[int, list[int]]:
    """Return the ids of each person in the order in which they were first had."""
    tracker = FaceTracker()
    ids: dict[int, list[int]] = defaultdict(list)
    for number in range(int(seconds * rate)):
        people = where(number / rate)
        frame, found = draw(people, KNOWN)
        for person, face in zip(
            people, tracker.update(round(number / rate * 1e6), found, frame), strict=True
        ):
            if face.track_id not in ids[person]:
                ids[person].append(face.track_id)
    return ids


def crossing(at_s: float) -> dict[int, tuple[float, float]]:
    """1 walks to the right behind 0, who walks to the left; nobody sees 1 meanwhile."""
    there, back = 100 + 100 * at_s, 500 - 100 * at_s
    hidden = abs(there - back) < 50
    return ({} if hidden else {1: (there, 80.0)}) | {0: (back, 90.0)}


def leaving(at_s: float) -> dict[int, tuple[float, float]]:
    return {0: (100.0, 80.0)} | ({} if 2 < at_s < 9 else {1: (400.0 if at_s < 5 else 250.0, 80.0)})


def replacing(at_s: float) -> dict[int, tuple[float, float]]:
    """1 sits where 0 sat, from one frame to the next, and then 0 again."""
    return {int(2 <= at_s < 4): (300.0, 80.0)}


RATES = (2, 5, 15, 30, 60)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("where", [crossing, leaving, replacing])
def test_two_people_have_one_id_each_at_every_rate(where: Where, rate: float) -> None:
    ids = follow(where, 10.0 if where is leaving else 4.8 if where is replacing else 4.0, rate)
    assert sorted(ids.values()) == [[1], [2]]


def test_a_face_half_behind_another_hands_over_to_whom_it_turns_out_to_be() -> None:
    """1 is seen, then half hidden by 0, and then whole again in another place."""
    tracker, given = FaceTracker(), []
    for at_us, people in enumerate(
        [
            {1: (400.0, 80.0)},
            {1: (150.0, 80.0), 0: (120.0, 80.0)},
            {1: (230.0, 80.0), 0: (120.0, 80.0)},
        ]
    ):
        frame, found = draw(people, KNOWN)
        given.append([face.track_id for face in tracker.update(at_us * 300_000, found, frame)])
    assert given[0] == [1]
    assert given[1][0] not in (1, given[1][1])
    assert given[2] == [1, given[1][1]]


def test_who_was_forgotten_is_a_new_person() -> None:
    tracker = FaceTracker()
    frame, found = draw({0: (100.0, 80.0)}, KNOWN)
    assert [face.track_id for face in tracker.update(0, found, frame)] == [1]
    tracker.forget(1)
    assert [face.track_id for face in tracker.update(33_000, found, frame)] == [2]


def test_clothes_tell_apart_whom_the_face_alone_does_not() -> None:
    twins = {0: KNOWN[0], 1: Person(KNOWN[0].face, (200, 30, 30))}
    (first, found), (other, _) = draw({0: (100.0, 80.0)}, twins), draw({1: (100.0, 80.0)}, twins)
    seen, unseen = FaceTracker(), FaceTracker()
    for tracker, frames in ((seen, (first, other)), (unseen, (None, None))):
        ids = [tracker.update(second * 5_000_000, found, frames[second])[0] for second in (0, 1)]
        assert (ids[0].track_id == ids[1].track_id) == (tracker is unseen)


def test_memory_is_bounded_and_the_one_away_for_longest_is_forgotten() -> None:
    tracker = FaceTracker()
    for second, person in enumerate([*KNOWN, 0, max(KNOWN)]):
        frame, found = draw({person: (100.0, 80.0)}, KNOWN)
        (face,) = tracker.update(second * 10_000_000, found, frame)
    assert len(tracker._people) == MOST_PEOPLE
    assert face.track_id == len(KNOWN)  # known still, while 0 has become a new person


@pytest.mark.parametrize("pts_us", [0, -(2**40), 2**63])
def test_time_may_stand_still_and_jump(pts_us: int) -> None:
    tracker = FaceTracker()
    frame, found = draw({0: (100.0, 80.0), 1: (400.0, 80.0)}, KNOWN)
    assert [face.track_id for face in tracker.update(0, found, frame)] == [1, 2]
    assert [face.track_id for face in tracker.update(pts_us, found, frame)] == [1, 2]


def test_an_assignment_costs_the_least() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows = int(rng.integers(1, 5))
        columns = int(rng.integers(rows, 7))
        cost = rng.integers(0, 9, (rows, columns)).astype(np.float32)
        taken = assign(cost)
        assert len(set(taken)) == rows
        least = min(cost[range(rows), list(p)].sum() for p in permutations(range(columns), rows))
        assert cost[range(rows), taken].sum() == least
