"""Who is in the room: whose face is whose, who speaks, and what each face looked like when."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from dcet.live.events import UNKNOWN
from dcet.live.people.attribution import Attribution
from dcet.live.people.face_tracker import FaceTracker, TrackedFace
from dcet.live.people.voices import Voices
from dcet.live.timeline import SECOND_US
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FoundFace

MOST_FACES = 8  # of a turn
KEPT_SIGHTS = 512  # of all people, the last ones: a minute of four
ALONE = 0.9  # share of the sights, from which there is but one person to see


@dataclass(frozen=True, slots=True)
class Who:
    """A speaker, how sure that is, and their face's track, where it is known."""

    speaker: str
    confidence: float
    face: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One person's face at one time, encoded."""

    camera: str
    track_id: int
    pts_us: int
    features: Floats  # (width,)
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces of one person during a turn."""

    features: Floats  # (n, width)
    quality: float


class People:
    """Knows who is in the room. Any thread may use it.

    speakers: who is heard or seen on a track, where it is always the same person; that wins
    attribution: whether to find out who speaks, where the host does not say
    taken: names that are others' already
    voices: tells voices apart, where one is given
    """

    def __init__(
        self,
        speakers: Mapping[str, str],
        *,
        attribution: bool,
        taken: Collection[str] = (),
        voices: Voices | None = None,
    ) -> None:
        self._speakers = dict(speakers)
        self._attributes = attribution
        self._taken = set(taken)
        self._voices = voices
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}  # given by the attribution -> in this session
        self._begin()

    def track(
        self, camera: str, pts_us: int, found: Sequence[FoundFace], frame: Pixels
    ) -> list[TrackedFace]:
        """Return the faces of a frame with the tracks of their people."""
        with self._lock:
            if camera not in self._trackers:
                self._trackers[camera] = FaceTracker(self._ids)
            return self._trackers[camera].update(pts_us, found, frame)

    def watch(self, pts_us: int, tracked: Sequence[TrackedFace], frame: Pixels) -> None:
        """Watch the mouths of faces that were tracked, in this or an earlier frame."""
        if self._attributes and tracked:
            with self._lock:
                self._attribution.see(pts_us, tracked, frame)

    def note_trouble(self, camera: str, why: str | None) -> None:
        """Take note of why a camera shows no face, or that it may again."""
        with self._lock:
            if why is None:
                self._troubles.pop(camera, None)
            else:
                self._troubles[camera] = why

    def troubles(self) -> list[str]:
        """Say what is wrong with cameras."""
        with self._lock:
            return [f"camera {camera!r}: {why}" for camera, why in self._troubles.items()]

    def hear(self, track: str, start_us: int, hop_us: int, voice: float) -> None:
        """Hear how probable a voice is in a hop."""
        if self._attributes and track not in self._speakers:
            with self._lock:
                hop = np.array([voice], np.float32)
                self._attribution.hear(start_us, hop_us, hop, microphone=track)

    def listen(self, track: str, start_us: int, pcm: Floats) -> None:
        """Hear whose voice a piece of a turn is, pcm (n,) at 16 kHz; takes tens of milliseconds."""
        if self._attributes and track not in self._speakers and self._voices is not None:
            voice = self._voices.embed(pcm)
            end_us = start_us + len(pcm) * SECOND_US // SAMPLE_RATE_HZ
            with self._lock:
                self._attribution.listen(start_us, end_us, voice)

    def remember(self, sight: Sight) -> None:
        """Keep what a face looked like, until many others came."""
        with self._lock:
            self._sights.append(sight)

    def who(self, track: str, start_us: int, end_us: int) -> Who:
        """Return who speaks on this track of sound at that time."""
        told = self._speakers.get(track)
        if not self._attributes:
            return Who(UNKNOWN, 0.0) if told is None else Who(told, 1.0)
        with self._lock:
            made = self._attribution.who(start_us, end_us)
            name = self._named(made.speaker, made.track_id)
        if told is not None:
            return Who(told, 1.0, made.track_id)
        return Who(name, made.confidence if name != UNKNOWN else 0.0, made.track_id)

    def only_one_on(self, tracks: Collection[str]) -> str | None:
        """Return the one person whom the host said is heard on these tracks; None where they are
        several, or anybody."""
        told = {self._speakers.get(track) for track in tracks}
        return told.pop() if len(told) == 1 else None

    def change_us(self, track: str, start_us: int, now_us: int) -> int | None:
        """Return when somebody else took over the turn that began at `start_us`; None if nobody."""
        if not self._attributes or track in self._speakers:
            return None
        with self._lock:
            return self._attribution.change(start_us, now_us)

    def faces(self, who: Who, start_us: int, end_us: int) -> Faces | None:
        """Return the speaker's faces of that time; None where there are none, or where it is not
        clear whose they are. Those of each of MOST_FACES parts of the time are one, their mean, so
        that all count, and the rate of frames hardly does."""
        with self._lock:
            sights = [each for each in self._sights if start_us <= each.pts_us <= end_us]
        own = {track for track, name in self._speakers.items() if name == who.speaker}
        if any(each.camera in own for each in sights):
            chosen = _alone([each for each in sights if each.camera in own])
        elif who.face is not None:
            chosen = [each for each in sights if each.track_id == who.face]
        elif self._attributes and who.speaker not in self._speakers.values():
            chosen = []
        else:
            chosen = _alone([each for each in sights if each.camera not in self._speakers])
        if not chosen:
            return None
        parts: dict[int, list[Sight]] = {}
        for each in chosen:
            part = (each.pts_us - start_us) * MOST_FACES // (end_us - start_us + 1)
            parts.setdefault(part, []).append(each)
        features = [np.mean([each.features for each in part], axis=0) for part in parts.values()]
        qualities = [np.mean([each.quality for each in part]) for part in parts.values()]
        return Faces(np.stack(features), float(np.mean(qualities)))

    def name_of(self, camera: str, track_id: int) -> str | None:
        """Return whose face this is taken for; None where that is not known."""
        if camera in self._speakers:
            return self._speakers[camera]
        with self._lock:
            made = self._attribution.name_of(track_id)
            return None if made is None else self._named(made, track_id)

    def forget(self, speaker: str) -> None:
        """Forget what this speaker looks and sounds like."""
        with self._lock:
            made = [name for name, given in self._names.items() if given == speaker] or [speaker]
            tracks = {
                each.track_id
                for each in self._sights
                if self._speakers.get(each.camera) == speaker
                or self._attribution.name_of(each.track_id) in made
            }
            for sight in [each for each in self._sights if each.track_id in tracks]:
                self._sights.remove(sight)
            for tracker in self._trackers.values():
                for track_id in tracks:
                    tracker.forget(track_id)
            for name in made:
                self._attribution.forget(name)

    def reset(self) -> None:
        """Forget everybody."""
        with self._lock:
            self._names.clear()
            self._taken.clear()
            self._begin()

    def _begin(self) -> None:
        self._ids = count(1)
        self._troubles: dict[str, str] = {}
        self._trackers: dict[str, FaceTracker] = {}
        self._attribution = Attribution(self._voices)
        self._sights: deque[Sight] = deque(maxlen=KEPT_SIGHTS)

    def _named(self, made: str, track_id: int | None) -> str:
        """Return the name of a person whom the attribution gave one: the host's, where the person
        is seen by a camera of their own, else one that nobody else ever had."""
        for sight in reversed(self._sights):
            if sight.track_id == track_id and sight.camera in self._speakers:
                return self._speakers[sight.camera]
        if made == UNKNOWN:
            return made
        if made not in self._names:
            kind = made.rstrip("0123456789")
            others = self._taken | set(self._names.values())
            free = (f"{kind}{number}" for number in count(1) if f"{kind}{number}" not in others)
            self._names[made] = made if made not in others else next(free)
        return self._names[made]


def _alone(sights: Sequence[Sight]) -> Sequence[Sight]:
    """Return the sights of the one person who is there; none where there are several."""
    if not sights:
        return ()
    tracks = [each.track_id for each in sights]
    most = max(set(tracks), key=tracks.count)
    if tracks.count(most) < ALONE * len(tracks):
        return ()
    return [each for each in sights if each.track_id == most]


Encode = Callable[[Pixels], tuple[Floats, float] | None]  # features (width,) and quality of a face
