"""Follows faces from frame to frame: each person keeps one id, and nobody ever gets another's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from dcet.live.people.assignment import assign
from dcet.runtime.arrays import Floats
from dcet.runtime.senses.appearance import CLEARER, OTHER, SAME, Appearance, appearance
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FoundFace

FOLLOWED_S = 1.0  # for so long after it was last seen, a face may be followed by its place
REACH = 0.6  # sides of the face that it may be away at once,
REACH_A_SECOND = 4.0  # and further with the time that went by
SIZE_CHANGE = 1.6  # between two sights of a face that is followed
FADE_S = 0.3  # time constant from OTHER to SAME, for a face that is followed
PLACE_WEIGHT = 0.15  # of a move as far as a face can go, beside unlikeness
NEW_LOOK = 0.2  # unlikeness to all remembered looks from which one more is remembered
LOOKS = 6  # remembered for each person
TOUCHING = 1.2  # sides between the middles of two faces, up to which neither look is remembered
CLEAR = 3.0  # beyond which a new face is surely one person's
KNOWN_US = 1_000_000  # after which any other is, too
MOST_PEOPLE = 64  # remembered; the one away for longest is forgotten
MOST_FACES = 16  # followed in one frame: the finder's best
NEVER = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFace:
    """One face of a frame and whose it is."""

    track_id: int
    found: FoundFace
    pts_us: int


@dataclass(slots=True, eq=False)
class _Person:
    looks: list[Appearance]
    box: Floats
    since_us: int
    seen_us: int
    is_clear: bool  # nobody was near when it was first seen

    @property
    def is_known(self) -> bool:
        """Whether it is surely one person's: a face half behind another's looks like nobody."""
        return self.is_clear or self.seen_us - self.since_us >= KNOWN_US

    def unlike(self, look: Appearance) -> float:
        return min(look.unlike(known) for known in self.looks)


class FaceTracker:
    """Gives the faces of one camera's frames ids that stay with a person.

    ids: where the next id comes from; trackers of several cameras share one

    A face goes on with the id of the person who was near a moment ago and looks alike; else with
    that of a person away who looks more alike than anyone else; else it is a new person's. All by
    media time, so that 2 and 60 frames a second give the same ids. One thread at a time.
    """

    def __init__(self, ids: Iterator[int] | None = None) -> None:
        self._ids = count(1) if ids is None else ids
        self._people: dict[int, _Person] = {}

    def update(
        self, pts_us: int, found: Sequence[FoundFace], frame: Pixels | None = None
    ) -> list[TrackedFace]:
        """Return the faces found at `pts_us` with their ids, in the order given.

        frame: the RGB frame that the faces' boxes lie in; clothes are compared where it is given
        """
        found = found[:MOST_FACES]
        looks = [appearance(face.pixels, face.box, frame) for face in found]
        people = list(self._people)
        unlike = np.array(
            [[self._people[known].unlike(look) for known in people] for look in looks]
        ).reshape(len(found), len(people))
        given = _cheapest(self._following_cost(pts_us, found, people, unlike))
        for row, column in _cheapest(self._returning_cost(given, people, unlike)).items():
            if row in given:
                del self._people[people[given[row]]]
            given[row] = column
        tracked = []
        for number, (face, look) in enumerate(zip(found, looks, strict=True)):
            track_id = people[given[number]] if number in given else next(self._ids)
            self._remember(track_id, pts_us, face, look, _nearest(number, found))
            tracked.append(TrackedFace(track_id, face, pts_us))
        self._forget_the_longest_away()
        return tracked

    def forget(self, track_id: int) -> None:
        """Forget what this person looks like; one who returns is a new person."""
        self._people.pop(track_id, None)

    def _following_cost(
        self, pts_us: int, found: Sequence[FoundFace], people: list[int], unlike: Floats
    ) -> Floats:
        """Cost of each face (rows) going on with each person (columns) who was near just now."""
        cost = np.full(unlike.shape, NEVER)
        for column, known in enumerate(people):
            person = self._people[known]
            away_s = abs(pts_us - person.seen_us) / 1e6
            if away_s > FOLLOWED_S:
                continue
            limit = SAME + (OTHER - SAME) * np.exp(-away_s / FADE_S)
            for row, face in enumerate(found):
                move = _move(person.box, face.box) / (REACH + REACH_A_SECOND * away_s)
                if move <= 1 and unlike[row, column] <= limit:
                    cost[row, column] = unlike[row, column] + PLACE_WEIGHT * move
        return cost

    def _returning_cost(self, given: dict[int, int], people: list[int], unlike: Floats) -> Floats:
        """Cost of each face that is nobody's yet, or of one who came just now, being that of each
        person away, clearly and of nobody else."""
        cost = np.full(unlike.shape, NEVER)
        known = np.array([self._people[person].is_known for person in people], bool)
        away = [column for column in np.flatnonzero(known) if column not in given.values()]
        for row in range(len(unlike)):
            if row in given and known[given[row]]:
                continue
            for column in away:
                others = known.copy()
                others[column] = False
                clearest = unlike[row, others].min(initial=np.inf) - CLEARER
                if unlike[row, column] <= min(SAME, clearest):
                    cost[row, column] = unlike[row, column]
        return cost

    def _remember(
        self, track_id: int, pts_us: int, face: FoundFace, look: Appearance, nearest: float
    ) -> None:
        person = self._people.pop(track_id, None)
        if person is None:
            person = _Person([look], face.box, pts_us, pts_us, nearest > CLEAR)
        elif nearest > TOUCHING and person.unlike(look) > NEW_LOOK:
            person.looks = [*person.looks[-LOOKS + 1 :], look]
        person.box, person.seen_us = face.box, pts_us
        self._people[track_id] = person  # last in the order of who was seen

    def _forget_the_longest_away(self) -> None:
        while len(self._people) > MOST_PEOPLE:
            del self._people[next(iter(self._people))]


def _cheapest(cost: Floats) -> dict[int, int]:
    """Return row -> column of the cheapest assignment that takes nothing forbidden."""
    rows, columns = cost.shape
    if rows == 0 or columns == 0:
        return {}
    padded = np.concatenate([cost, np.full((rows, rows), NEVER / 2)], axis=1)
    chosen = enumerate(assign(padded))
    return {row: column for row, column in chosen if column < columns and cost[row, column] < NEVER}


def _move(before: Floats, now: Floats) -> float:
    """Return how far the middle moved in sides of the face; infinite where its size jumped."""
    size, other = float(before[2:].max()), float(now[2:].max())
    if not 1 / SIZE_CHANGE <= other / size <= SIZE_CHANGE:
        return float("inf")
    middle = now[:2] + now[2:] / 2 - before[:2] - before[2:] / 2
    return float(np.hypot(*middle)) / max(size, other)


def _nearest(number: int, found: Sequence[FoundFace]) -> float:
    """Return how many sides away the nearest other face is."""
    boxes = [face.box for face in found]
    others = [box for other, box in enumerate(boxes) if other != number]
    return min((_apart(boxes[number], box) for box in others), default=float("inf"))


def _apart(one: Floats, other: Floats) -> float:
    middle = one[:2] + one[2:] / 2 - other[:2] - other[2:] / 2
    return float(np.hypot(*middle)) / float(max(one[2:].max(), other[2:].max()))
