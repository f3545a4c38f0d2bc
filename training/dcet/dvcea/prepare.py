"""The first half of a build, on CPUs: of each clip the speaker's face crops and the sound.

It runs in processes of its own, which hand over files: each appears whole or not at all.
"""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dcet.dvcea.annotations import Clip, SetAside
from dcet.dvcea.arrays_file import open_arrays, write_arrays
from dcet.dvcea.clip_media import ClipMedia
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.speaker import Persons, find_speaker
from dcet.dvcea.stopwatch import Stopwatch
from dcet.runtime import Bundle
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.errors import DataError, InputError, UnusableMedia
from dcet.runtime.senses.audio import prepare_audio
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.senses.speech import hear_voice
from dcet.runtime.turn import Unusable

NOT_SAID = ("part_us", "told")  # of a clip, as the index says it


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What the encoders need of a clip, and what the index says of it."""

    crops: NDArray[np.uint8]  # (n, side, side, 3) RGB; n may be 0
    crops_us: NDArray[np.int64]  # (n,)
    pcm: Floats  # (n,) at 16 kHz; empty where nothing can be heard
    said: Mapping[str, Any]  # fields of DvceaUtterance


class Preparer:
    """Prepares clips, one after the other, in one process. `watch` has how long that took."""

    def __init__(self, videos: Path, config: BuildConfig, device: str) -> None:
        self.videos, self._config = videos, config
        self.watch = Stopwatch()
        self._finder = FaceFinder()
        bundle = Bundle.default()
        self._manifest, self._engine = bundle.manifest, bundle.engine("onnxruntime")
        self._persons: Persons | None = None
        if config.persons is not None:
            from dcet.dvcea.persons import Mask2FormerPersons  # torch: only when asked for

            self._persons = Mask2FormerPersons(config.persons, device)

    def prepare(self, clip: Clip) -> Prepared:
        """Decode a clip, tell the speaker. Raises DataError where it cannot be used."""
        path, config = self.videos / clip.source, self._config
        with self.watch.of("decode"):
            media = ClipMedia(path, clip.part_us)
            sound = media.sound()
        pcm, audio_quality = _usable(sound.pcm)
        voice = None
        if len(pcm) and self._manifest.speech is not None and clip.told is None:
            with self.watch.of("hear"):
                voice = hear_voice(self._engine, self._manifest, pcm)
        looks = media.pictures(config.step_us // config.looks_per_step)
        pictures = self.watch.each("decode", looks)
        part_us = None if clip.part_us is None else clip.part_us[1] - clip.part_us[0]
        end_us = part_us or round(len(sound.pcm) * 1_000_000 / SAMPLE_RATE_HZ)
        with self.watch.of("faces"):
            faces = find_speaker(
                pictures, voice, end_us, config, self._finder, self._persons, clip.told
            )
        if faces.frames == 0 and sound.length_us == 0:
            why = "; ".join(media.damage) or "there is neither sound nor a picture in this part"
            raise UnusableMedia(f"{path}: nothing of it can be decoded ({why}); copy it again")
        said = {
            **{key: value for key, value in asdict(clip).items() if key not in NOT_SAID},
            "part_start_us": None if clip.part_us is None else clip.part_us[0],
            "part_end_us": None if clip.part_us is None else clip.part_us[1],
            "source_sha256": _sha256(path, path.stat().st_mtime_ns),
            "picture_us": media.picture_us,
            "sound_us": sound.length_us,
            "visual_quality": faces.quality,
            "audio_quality": audio_quality,
            "frames": faces.frames,
            "face_frames": faces.face_frames,
            "track": faces.track,
            "confidence": faces.confidence,
            "reason": "there are no pictures" if faces.frames == 0 else faces.reason,
        }
        return Prepared(faces.crops, faces.times_us, pcm, said)


def _usable(pcm: Floats) -> tuple[Floats, float]:
    """Return what can be heard of a sound, empty where that is nothing, and its quality."""
    if len(pcm) == 0:
        return pcm, 0.0
    try:
        prepared = prepare_audio(pcm, SAMPLE_RATE_HZ, most_samples=len(pcm))
    except (Unusable, InputError):  # too short or silent: the modality is missing
        return np.zeros(0, np.float32), 0.0
    return prepared.pcm.astype(np.float32), prepared.quality


@lru_cache(maxsize=4)  # parts of a long video follow each other
def _sha256(path: Path, _changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_prepared(file: Path, result: Prepared | SetAside) -> None:
    """Write what became of a clip. Raises WriteError."""
    if isinstance(result, SetAside):
        arrays: dict[str, NDArray[Any]] = {}
        said: Mapping[str, Any] = {"set_aside": asdict(result)}
    else:
        arrays = {"crops": result.crops, "crops_us": result.crops_us, "pcm": result.pcm}
        said = result.said
    write_arrays(file, said, arrays)


def read_prepared(file: Path) -> Prepared | SetAside:
    """Read what `write_prepared` wrote."""
    with open_arrays(file) as (said, arrays):
        if "set_aside" in said:
            return SetAside(**said["set_aside"])
        return Prepared(arrays["crops"], arrays["crops_us"], arrays["pcm"], said)


_preparers: dict[str, Preparer] = {}  # of this process: one, unless several builds share it


def begin_worker() -> None:
    """Let this process end with the one that started it, and by nothing else."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started it ends it
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def prepare_anywhere(
    videos: Path, config: BuildConfig, device: str, clip: Clip, file: Path
) -> None:
    """Prepare a clip into a file; one that cannot be used is set aside there, with its reason.

    What that takes is made once in each process.
    """
    key = repr((videos, config, device))
    if key not in _preparers:
        cv2.setNumThreads(1)
        _preparers[key] = Preparer(videos, config, device)
    result: Prepared | SetAside
    try:
        result = _preparers[key].prepare(clip)
    except DataError as error:
        result = SetAside.of(clip, error, videos)
    write_prepared(file, result)


def died(clip: Clip, videos: Path) -> SetAside:
    """Set aside a clip of which every process died that prepared it."""
    error = UnusableMedia(
        f"{clip.source}: the process that decoded it died, of a fault in the decoder or of lack of "
        "memory; convert the file, or leave it out"
    )
    return SetAside.of(clip, error, videos)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
