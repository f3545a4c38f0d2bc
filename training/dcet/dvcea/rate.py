"""How fast a build is here, beside a plain loop of the same steps, and which stage limits it."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from dcet.data.dvcea import Dvcea
from dcet.dvcea.annotations import Annotations, Clip, SetAside
from dcet.dvcea.build import Build, encode_together
from dcet.dvcea.encoders import Encoders
from dcet.dvcea.parts import FEATURES
from dcet.dvcea.prepare import Prepared, Preparer
from dcet.dvcea.settings import BuildConfig
from dcet.live.timeline import SECOND_US
from dcet.runtime.errors import DataError
from dcet.runtime.files import temporary_folder
from dcet.runtime.senses.face import spread
from dcet.training.run.progress import Progress

SCHEMA = "dcet-dvcea/rate/1"
PREPARING = ("decode", "hear", "faces")  # stages that the processes of a build share


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """One utterance after the other."""

    per_minute: float
    cpu_s: float  # of an utterance, in all threads
    stages_s: Mapping[str, float]  # of an utterance, on average


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Utterances a minute, of the same clips in one run."""

    detector: str  # of faces
    device: str
    cores: int
    workers: int
    utterances: int
    media_s: float  # of sound or pictures, whichever is longer
    plain_loop: Loop  # that searches each step's whole picture; as many threads as libraries take
    one_core_loop: Loop | None  # the same held to one core, where the system can
    same_search_loop: Loop  # that searches for faces as the build does
    build_per_minute: float  # from the start of its processes to the set on disk
    build_cpu_s: float  # of an utterance, in all processes; says more on a machine that is busy
    build_stages_s: Mapping[str, float]  # of an utterance, in the process that encodes
    times_plain_loop: float
    times_one_core_loop: float | None
    limit: str  # the stage that limits the build
    all_hours: float  # that a build of all clips takes at this rate

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {"schema": SCHEMA, **asdict(self)}


def measure_rate(
    videos: Path,
    annotations: Annotations,
    config: BuildConfig,
    progress: Progress,
    *,
    most: int,
    device: str,
    workers: int,
) -> Rate:
    """Run at most `most` of the clips through the loops and through a build, in a folder that is
    removed again. Raises ConfigError, DataError or WriteError.
    """
    clips = [clip for _, clip in spread(annotations.clips, most)]
    with temporary_folder() as folder:
        encoders = Encoders(config, device)
        whole = replace(config, steps_per_search=1)
        plain = _loop(videos, whole, encoders, clips, folder, "plain loop", progress)
        one_core = None
        if hasattr(os, "sched_setaffinity"):  # Linux
            with _one_core():
                one_core = _loop(videos, whole, encoders, clips, folder, "on one core", progress)
        same = _loop(videos, config, encoders, clips, folder, "loop, searching less", progress)
        set_at = folder / "set"
        build = Build(videos, Annotations(clips), set_at, config, device=device, workers=workers)
        begun_s, begun_cpu_s = time.perf_counter(), _cpu_s()
        manifest = build.run(progress)
        took_s, took_cpu_s = time.perf_counter() - begun_s, _cpu_s() - begun_cpu_s
        media_us = sum(max(said.picture_us, said.sound_us) for said in Dvcea.open(set_at))
    assert manifest is not None
    per_minute = 60 * len(clips) / took_s
    return Rate(
        detector=manifest["isolation"]["faces"],
        device=device,
        cores=os.cpu_count() or 1,
        workers=workers,
        utterances=len(clips),
        media_s=media_us / SECOND_US,
        plain_loop=plain,
        one_core_loop=one_core,
        same_search_loop=same,
        build_per_minute=per_minute,
        build_cpu_s=took_cpu_s / len(clips),
        build_stages_s={stage: s / len(clips) for stage, s in build.watch.took_s.items()},
        times_plain_loop=per_minute / plain.per_minute,
        times_one_core_loop=None if one_core is None else per_minute / one_core.per_minute,
        limit=max(PREPARING, key=lambda stage: same.stages_s.get(stage, 0.0))
        if build.waits
        else "encode",
        all_hours=len(annotations.clips) * took_s / len(clips) / 3600,
    )


def _loop(
    videos: Path,
    config: BuildConfig,
    encoders: Encoders,
    clips: Sequence[Clip],
    folder: Path,
    name: str,
    progress: Progress,
) -> Loop:
    begun_s, begun_cpu_s = time.perf_counter(), _cpu_s()
    preparer = Preparer(videos, config, encoders.device)
    for number, clip in enumerate(clips):
        part: Prepared | SetAside
        try:
            part = preparer.prepare(clip)
        except DataError as error:
            part = SetAside.of(clip, error, videos)
        with preparer.watch.of("encode"):
            (made,) = encode_together(encoders, [part])
        with preparer.watch.of("write"):
            for feature in FEATURES:
                if (array := getattr(made, feature, None)) is not None:
                    np.save(folder / f"{number}_{feature}.npy", array)
        progress.advance(number + 1, len(clips), name)
    took_s = time.perf_counter() - begun_s
    stages_s = {stage: s / len(clips) for stage, s in preparer.watch.took_s.items()}
    return Loop(
        per_minute=60 * len(clips) / took_s,
        cpu_s=(_cpu_s() - begun_cpu_s) / len(clips),
        stages_s=stages_s,
    )


@contextmanager
def _one_core() -> Iterator[None]:
    """Hold this thread, and those that it starts, to one core.

    OpenCV and torch keep their threads, which would stay there, so they start none.
    """
    cores, of_cv2, of_torch = os.sched_getaffinity(0), cv2.getNumThreads(), torch.get_num_threads()
    os.sched_setaffinity(0, {min(cores)})
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(of_cv2)
        torch.set_num_threads(of_torch)


def _cpu_s() -> float:
    """Return what this process used, and those that it started and that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
