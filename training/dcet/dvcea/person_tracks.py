"""Persons followed by ByteTrack (Zhang et al., ECCV 2022, arXiv 2110.06864), and faces in them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.people.face_tracker import TrackedFace
from dcet.runtime.extras import need
from dcet.runtime.senses.appearance import OTHER, Appearance
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import look_of

LIBRARY = "edgefirst-tracker"  # whose lifespan is a time, not a count of pictures
MODULE = "edgefirst.tracker"
LOST_NS = 1_000_000_000  # for which a person may be out of sight and still be followed
HIGH = 0.7  # certainty from which a person may begin a track; from a lower one it goes on


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A person in a picture."""

    mask: NDArray[np.bool_]  # (height, width)
    sure: float  # that it is one, from 0 to 1

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, in shares of the picture; nothing of it is all zeros."""
        height, width = self.mask.shape
        rows, columns = (np.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return 0.0, 0.0, 0.0, 0.0
        left, right = columns[0] / width, (columns[-1] + 1) / width
        return left, rows[0] / height, right, (rows[-1] + 1) / height


class PersonTracks:
    """Gives a face the track that a face of the same person had before.

    A face whose look changed too much for `FaceTracker` is a new one to it. If ByteTrack says that
    it is in the same person, and it is not clearly somebody else's, it keeps its track. Boxes know
    no cut of the film, so that looks have the last word. One clip; one thread at a time.
    """

    def __init__(self) -> None:
        byte_track: Any = need(MODULE, extra="dvcea").ByteTrack
        self._byte_track = byte_track(high_conf=HIGH, lifespan_ns=LOST_NS)
        self._tracks: dict[int, int] = {}  # of FaceTracker: whose they are
        self._last: dict[str, tuple[int, Appearance]] = {}  # of each person, the face seen last

    def update(
        self, at_us: int, faces: Sequence[TrackedFace], persons: Sequence[Person], frame: Pixels
    ) -> list[TrackedFace]:
        """Return the faces of an RGB frame with the tracks of their persons."""
        ids = self._followed(at_us, persons)
        owners = [owners_of(face, persons) for face in faces]
        here = {self._tracks.get(face.track_id) for face in faces}
        named = []
        for face, own in zip(faces, owners, strict=True):
            alone = len(own) == 1 and sum(other == own for other in owners) == 1
            person = ids[own[0]] if alone else None
            look = look_of(face.found, frame)
            track = self._tracks.get(face.track_id)
            if track is None:
                last, known = self._last.get(person or "", (face.track_id, look))
                is_other = last in here or look.unlike(known) >= OTHER
                track = face.track_id if is_other else last
                self._tracks[face.track_id] = track
                here.add(track)
            if person is not None:
                self._last[person] = track, look
            named.append(replace(face, track_id=track))
        return named

    def _followed(self, at_us: int, persons: Sequence[Person]) -> list[str | None]:
        """Return ByteTrack's name for each person; None for those that it does not follow yet."""
        boxes = np.array([person.box for person in persons], np.float32).reshape(-1, 4)
        sure = np.array([person.sure for person in persons], np.float32)
        tracks = self._byte_track.update(
            boxes, sure, np.zeros(len(persons), np.uintp), at_us * 1000
        )
        return [None if track is None else track.uuid for track in tracks]


def tracker_name(*, with_persons: bool) -> str:
    """Say for the manifest what follows people through a clip. Raises MissingExtra."""
    faces = "faces by dcet.live.people.face_tracker"
    if not with_persons:
        return faces
    need(MODULE, extra="dvcea")
    return f"persons by ByteTrack of {LIBRARY} {metadata.version(LIBRARY)}, {faces} in them"


def owners_of(face: TrackedFace, persons: Sequence[Person]) -> list[int]:
    """Return which persons the middle of a face lies in."""
    left, top, width, height = face.found.box.tolist()
    places = []
    for number, person in enumerate(persons):
        rows, columns = person.mask.shape
        x = min(max(int(left + width / 2), 0), columns - 1)
        y = min(max(int(top + height / 2), 0), rows - 1)
        if person.mask[y, x]:
            places.append(number)
    return places
