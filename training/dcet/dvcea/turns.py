"""The turns of a video that nobody annotated, and who speaks in each: cut and told as by a live
session, with the parts of `dcet.live`, in one pass over the whole video."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dcet.dvcea.annotations import Sight, Told
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.speaker import search
from dcet.live.counters import Counters
from dcet.live.events import UNKNOWN
from dcet.live.hearing.audio_track import AudioBlock
from dcet.live.hearing.ear import Ear, Heard
from dcet.live.hearing.turn_cutter import HANGOVER_MS, LONGEST_MS, Span, Step
from dcet.live.media.media_file import MediaFile, Picture, Sound
from dcet.live.people.attribution import Attribution
from dcet.live.people.face_tracker import MOST_FACES, FaceTracker, TrackedFace
from dcet.runtime.arrays import Floats
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.senses.face import spread
from dcet.runtime.senses.face_finder import FaceFinder

CHANGE_US = 500_000  # of a turn, after which it is asked whether somebody else took over
MOST_SIGHTS = 8  # kept of a turn, from which its speaker's face is found again
KEPT_S = 24  # of everyone's sights: more than the longest turn


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn, and who speaks in it."""

    start_us: int
    end_us: int
    told: Told
    text: str | None


class TurnsOfVideo:
    """Cuts one video after the other into turns. Iterate over `of` to the end of each.

    transcribe: the words of sound (n,) at 16 kHz; None, where nobody asks for them
    """

    def __init__(
        self,
        config: BuildConfig,
        bundle: Bundle,
        finder: FaceFinder,
        transcribe: Callable[[Floats], str | None] | None = None,
    ) -> None:
        self._config, self._bundle = config, bundle
        self._engine, self._finder = bundle.engine("onnxruntime"), finder
        self._transcribe = transcribe

    def of(self, path: Path) -> Iterator[Turn]:
        """Yield the turns of a video in order; none overlaps another.

        Raises DataNotFound, UnusableMedia or MissingExtra.
        """
        self._begin()
        for item in MediaFile(path):
            if isinstance(item, Picture):
                self._look(item)
            else:
                yield from self._hear(item)
        for heard in self._ear.flush():
            yield from self._cut(heard)

    def _begin(self) -> None:
        self._ear = Ear(
            "sound",
            self._bundle.manifest,
            self._engine,
            Counters(),
            hangover_ms=HANGOVER_MS,
            longest_ms=LONGEST_MS,
        )
        self._tracker, self._attribution = FaceTracker(), Attribution()
        self._tracked: list[TrackedFace] = []
        self._looked = self._searched = -1
        kept = KEPT_S * self._config.steps_per_s * MOST_FACES
        self._sights: deque[tuple[int, Sight]] = deque(maxlen=kept)  # with the track
        self._ended_us = 0
        self._asked_us: int | None = None  # in the turn that goes on, who speaks

    def _look(self, picture: Picture) -> None:
        """Search faces once a step, and watch their mouths at the other looks."""
        at_us, pixels, config = picture.pts_us, picture.pixels, self._config
        look, step = at_us * config.looks_per_step // config.step_us, at_us // config.step_us
        if look == self._looked:
            return
        self._looked = look
        if step == self._searched:
            self._tracked = [replace(face, pts_us=at_us) for face in self._tracked]
        else:
            self._searched = step
            found = search(self._finder, pixels, self._tracked, step, config)
            self._tracked = self._tracker.update(at_us, found, pixels)
            for face in self._tracked:
                x, y = face.found.place[:2].tolist()
                self._sights.append((face.track_id, (at_us, x, y)))
        self._attribution.see(at_us, self._tracked, pixels)

    def _hear(self, sound: Sound) -> Iterator[Turn]:
        block = AudioBlock("sound", sound.samples, sound.pts_us, sound.sample_rate_hz)
        for heard in self._ear.hear(block):
            hop = np.array([heard.voice], np.float32)
            self._attribution.hear(heard.start_us, self._ear.hop_us, hop)
            yield from self._cut(heard)

    def _cut(self, heard: Heard) -> Iterator[Turn]:
        """Do with the turn what a hop asks for."""
        ear = self._ear
        if heard.step is Step.BEGAN:
            self._asked_us = heard.start_us
        elif heard.step in (Step.ENDED, Step.SPLIT):
            assert heard.span is not None
            self._asked_us = heard.start_us if ear.cutter.began else None
            yield self._turn(heard.span)
        elif self._asked_us is not None and heard.start_us - self._asked_us >= CHANGE_US:
            self._asked_us = heard.start_us
            assert ear.cutter.span is not None
            changed_us = self._attribution.change(*ear.spoken_us(ear.cutter.span))
            if changed_us is not None:
                yield from self._cut(ear.cut(changed_us))

    def _turn(self, span: Span) -> Turn:
        ear = self._ear
        start_us, end_us = ear.spoken_us(span)
        start_us, self._ended_us = max(start_us, self._ended_us), end_us
        said = self._attribution.who(start_us, end_us)
        track = None if said.speaker == UNKNOWN else said.track_id
        seen = [
            (at_us - start_us, x, y)
            for seen_track, (at_us, x, y) in self._sights
            if seen_track == track and start_us <= at_us < end_us
        ]
        sights = tuple(sight for _, sight in spread(seen, MOST_SIGHTS))
        told = Told(said.speaker, said.confidence, said.reason, sights)
        text = None
        if self._transcribe is not None:
            margin = ear.cutter.margin
            samples = (max(0, span.first - margin), min(span.end + margin, ear.cutter.now))
            text = self._transcribe(ear.sound(*(hop * ear.hop_samples for hop in samples)))
        return Turn(start_us, end_us, told, text)
