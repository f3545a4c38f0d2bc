"""Tells the speaker of a clip from the other people in it, and cuts out their face.

Faces are found in each looked-at picture and followed; the speaker is the person whose mouth moves
while the voice sounds (`dcet.live.people.attribution`). Where a segmentation of persons is given,
what it says is another person is blanked out of the crops.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dcet.dvcea.annotations import Sight, Told
from dcet.dvcea.person_tracks import Person, PersonTracks, owners_of
from dcet.dvcea.settings import BuildConfig
from dcet.live.events import UNKNOWN
from dcet.live.people.attribution import Attributed, Attribution
from dcet.live.people.face_tracker import FaceTracker, TrackedFace
from dcet.runtime.arrays import HOP_SAMPLES, SAMPLE_RATE_HZ, Floats
from dcet.runtime.senses.face import Pixels, crop_qualities
from dcet.runtime.senses.face_finder import FaceFinder, FoundFace, square_around

HOP_US = HOP_SAMPLES * 1_000_000 // SAMPLE_RATE_HZ
ONLY_ONE = 0.5  # confidence in the only person seen, where mouths say nothing
NEAR_US = 150_000  # from a sight of the speaker's face, within which it is where it was
BLANK = 127  # grey that stands for other people
Seen = dict[int, tuple[Pixels, float]]  # of one face, by step: crop and the finder's confidence


class Persons(Protocol):
    """A segmentation of the persons of a picture."""

    def find(self, frame: Pixels) -> Sequence[Person]: ...


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerFaces:
    """The speaker's face through a clip, and how they were chosen."""

    crops: NDArray[np.uint8]  # (n, side, side, 3) RGB, one for each step in which it was found
    times_us: NDArray[np.int64]  # (n,) middles of the steps
    quality: float  # of the crops, from 0 to 1
    frames: int  # pictures that were looked at
    face_frames: int  # of them, those with the speaker's face
    track: int | None
    confidence: float
    reason: str


def find_speaker(
    pictures: Iterable[tuple[int, Pixels]],
    voice: Floats | None,
    end_us: int,
    config: BuildConfig,
    finder: FaceFinder,
    persons: Persons | None = None,
    told: Told | None = None,
    on_faces: Callable[[int, Pixels, Sequence[TrackedFace]], None] = lambda *_: None,
) -> SpeakerFaces:
    """Follow all faces of a clip, choose the speaker's.

    pictures: times and RGB, `config.looks_per_step` a step, in the first of which faces are
    searched, as `search` says; voice: probability of a voice in each
    hop of 32 ms, None where there is no sound; end_us: of the utterance; told: who speaks, where
    that is known; on_faces: told of each searched picture, when it is, and the faces in it
    """
    tracker, attribution = FaceTracker(), Attribution()
    tracks = None if persons is None else PersonTracks()
    if voice is not None:
        attribution.hear(0, HOP_US, voice)
    people: dict[int, Seen] = {}
    frames, searched = 0, -1
    tracked: list[TrackedFace] = []
    where_told: Counter[int] = Counter()  # of each track, how often its face was there
    for at_us, frame in pictures:
        step = at_us // config.step_us
        if step == searched:  # mouths are looked at where the faces were a moment ago
            attribution.see(at_us, [replace(face, pts_us=at_us) for face in tracked], frame)
            continue
        frames, searched = frames + 1, step
        tracked = tracker.update(at_us, search(finder, frame, tracked, step, config), frame)
        around: Sequence[Person] = ()
        if persons is not None and tracks is not None:
            around = persons.find(frame) if tracked else ()
            tracked = tracks.update(at_us, tracked, around, frame)
        attribution.see(at_us, tracked, frame)
        on_faces(at_us, frame, tracked)
        if told is not None:
            where_told.update(_tracks_at(told.sights, at_us, frame, tracked))
        for face in tracked:
            crop = _crop(_alone(frame, face, around), face, config)
            person = people.setdefault(face.track_id, {})
            person[step] = (crop, face.found.confidence)
    if told is not None:
        return _chosen(people, frames, _found_again(told, where_told), True, config)
    return _chosen(people, frames, attribution.who(0, end_us), voice is not None, config)


def search(
    finder: FaceFinder,
    frame: Pixels,
    before: Sequence[TrackedFace],
    step: int,
    config: BuildConfig,
) -> list[FoundFace]:
    """Find the faces of a frame: in all of it in one of `config.steps_per_search` steps, or where
    one of those before is not found where it was, or nobody was there; else where they were."""
    if before and step % config.steps_per_search:
        found = finder.find_again(frame, [face.found for face in before])
        if found is not None:
            return found
    return finder.find_all(frame)


def _tracks_at(
    sights: Sequence[Sight], at_us: int, frame: Pixels, tracked: Sequence[TrackedFace]
) -> list[int]:
    """Return the tracks of the faces that are where the speaker's is at that time."""
    nearest = min(sights, key=lambda sight: abs(sight[0] - at_us), default=None)
    if nearest is None or abs(nearest[0] - at_us) > NEAR_US:
        return []
    there = nearest[1] * frame.shape[1], nearest[2] * frame.shape[0]
    return [face.track_id for face in tracked if _is_in(face.found.box, *there)]


def _is_in(box: Floats, x: float, y: float) -> bool:
    left, top, width, height = box.tolist()
    return bool(left <= x < left + width and top <= y < top + height)


def _found_again(told: Told, where_told: Counter[int]) -> Attributed:
    track = max(where_told, key=where_told.__getitem__, default=None)
    is_lost = told.sights and track is None
    reason = f"{told.reason}, but was not found again" if is_lost else told.reason
    return Attributed(told.speaker, told.confidence, track, reason)


def _chosen(
    people: dict[int, Seen], frames: int, said: Attributed, heard: bool, config: BuildConfig
) -> SpeakerFaces:
    track, confidence, reason = said.track_id, said.confidence, said.reason
    if not heard and track is not None:
        track, confidence, reason = None, 0.0, "there is no sound to compare mouths with"
    if track is None and len(people) == 1 and (not heard or said.speaker == UNKNOWN):
        (track,) = people
        confidence, reason = ONLY_ONE, f"the only person seen; {reason}"
    if track is None or track not in people:
        side = config.crop_pixels
        nothing = np.zeros((0, side, side, 3), np.uint8)
        return SpeakerFaces(
            nothing, np.zeros(0, np.int64), 0.0, frames, 0, None, confidence, reason
        )
    person = people[track]
    steps = sorted(person)
    crops = np.stack([person[step][0] for step in steps])
    sure = np.array([person[step][1] for step in steps], np.float32)
    quality = float((crop_qualities(crops) * sure).mean())
    times_us = np.array(steps, np.int64) * config.step_us + config.step_us // 2
    return SpeakerFaces(crops, times_us, quality, frames, len(steps), track, confidence, reason)


def _alone(frame: Pixels, face: TrackedFace, persons: Sequence[Person]) -> Pixels:
    """Blank out what belongs to other people than the one whose face this is."""
    own = owners_of(face, persons)
    others = [person.mask for number, person in enumerate(persons) if number not in own]
    if not others:
        return frame
    blanked = np.logical_or.reduce(others)
    if own:
        blanked &= ~np.logical_or.reduce([persons[number].mask for number in own])
    alone = frame.copy()
    alone[blanked] = BLANK
    return alone


def _crop(frame: Pixels, face: TrackedFace, config: BuildConfig) -> Pixels:
    """Cut out the square around the face."""
    square = square_around(frame, face.found.box, config.crop_margin)
    how = cv2.INTER_AREA if len(square) >= config.crop_pixels else cv2.INTER_LINEAR
    size = (config.crop_pixels, config.crop_pixels)
    return np.asarray(cv2.resize(square, size, interpolation=how), np.uint8)
