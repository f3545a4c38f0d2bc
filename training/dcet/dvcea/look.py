"""Looks at an utterance again: some pictures with everyone's faces in them, and the waveform."""

import base64
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dcet.data.dvcea import DvceaUtterance
from dcet.dvcea.clip_media import ClipMedia
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.speaker import find_speaker
from dcet.live.people.face_tracker import TrackedFace
from dcet.runtime.arrays import Floats
from dcet.runtime.errors import DataError
from dcet.runtime.senses.face import Pixels, spread
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.training.settings import settings_from

PICTURES = 5
HEIGHT_PX = 220
BARS = 240  # of the waveform
QUIETEST = 0.01  # peak that is drawn as high as any other
CHOSEN, OTHER = (46, 160, 67), (150, 150, 150)  # colours of the speaker's box, and of others'


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is shown of an utterance."""

    pictures: list[tuple[int, str]]  # time in us, and a JPEG as a data: address
    peaks: Floats  # (BARS,) of the sound, in [0, 1]; empty where there is none


class Looks:
    """Decodes clips again, as the build with these settings did."""

    def __init__(self, videos: Path, settings: Mapping[str, Any]) -> None:
        self._videos = videos
        self._config = settings_from(BuildConfig, settings, "settings of the manifest")
        self._finder = FaceFinder()

    def at(self, said: DvceaUtterance) -> Look | str:
        """Look at an utterance; say why where its clip cannot be decoded."""
        try:
            media = ClipMedia(self._videos / said.source, said.part_us)
            pcm = media.sound().pcm
            pictures = self._pictures(media, said)
        except DataError as error:
            return str(error)
        parts = np.array_split(np.abs(pcm), BARS) if len(pcm) >= BARS else []
        peaks = np.array([part.max() for part in parts], np.float32)
        return Look(pictures, peaks / max(float(peaks.max(initial=0)), QUIETEST))

    def _pictures(self, media: ClipMedia, said: DvceaUtterance) -> list[tuple[int, str]]:
        wanted = {place for place, _ in spread(range(said.frames), PICTURES)}
        pictures: list[tuple[int, str]] = []
        numbers = itertools.count()

        def keep(at_us: int, frame: Pixels, faces: Sequence[TrackedFace]) -> None:
            if next(numbers) in wanted:
                pictures.append((at_us, _drawn(frame, faces, said.track)))

        looks = media.pictures(self._config.step_us // self._config.looks_per_step)
        find_speaker(looks, None, 1, self._config, self._finder, on_faces=keep)
        return pictures


def _drawn(frame: Pixels, faces: Sequence[TrackedFace], chosen: int | None) -> str:
    """Draw everyone's box and number, scale down, and make it a data: address."""
    scale = HEIGHT_PX / frame.shape[0]
    size = (max(1, round(frame.shape[1] * scale)), HEIGHT_PX)
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    for face in faces:
        left, top, width, height = (round(float(value) * scale) for value in face.found.box)
        colour = CHOSEN if face.track_id == chosen else OTHER
        thickness = 2 if face.track_id == chosen else 1
        cv2.rectangle(small, (left, top), (left + width, top + height), colour, thickness)
        foot = (left + 3, max(12, top - 4))
        cv2.putText(small, str(face.track_id), foot, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
