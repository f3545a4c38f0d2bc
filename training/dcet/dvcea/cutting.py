"""Cuts the videos of a folder that nobody annotated, each in a process of its own.

What became of a video is kept in a file, so that it is cut once however often a build is stopped.
"""

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from importlib import metadata
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2

from dcet.dvcea.annotations import Annotations, Clip, SetAside, Told, sources_in
from dcet.dvcea.prepare import begin_worker
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.turns import TurnsOfVideo
from dcet.live.words.speech_recognition import SpeechRecogniser
from dcet.runtime import Bundle
from dcet.runtime.errors import ConfigError, DataError, DcetError, UnusableMedia
from dcet.runtime.files import read_json, write_json
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.senses.text import normalise_text
from dcet.training.run.progress import Progress

FOLDER = "turns"  # in that of the parts of a build
CUT_BY = "dcet.live.hearing.turn_cutter and dcet.live.people.attribution"


def cut_videos(
    videos: Path,
    split: str,
    kept: Path,
    config: BuildConfig,
    progress: Progress,
    *,
    workers: int,
    shard: tuple[int, int] = (1, 1),
    strict: bool = False,
) -> Annotations:
    """Cut all videos of a folder into turns, which are clips without labels; a video is a dialogue.

    kept: folder of what is done, which may be shared by machines that each make a shard
    shard: (i, n) begins with another video for each i
    strict: raise for the first video that would be set aside

    Raises DataError where there is no video, ConfigError, MissingExtra or WriteError.
    """
    sources = sources_in(videos)
    if not sources:
        raise DataError(f"{videos}: there is no video; expected files such as talk.mp4")
    kept.mkdir(parents=True, exist_ok=True)
    detector = FaceFinder().detector
    files = {source: kept / _name(videos, source, config, detector) for source in sources}
    first = (shard[0] - 1) * len(sources) // shard[1]
    _cut_missing(videos, [*sources[first:], *sources[:first]], files, config, progress, workers)
    found = Annotations(turns=CUT_BY)
    for source in sources:
        clips, aside = _read(files[source], source, split)
        if aside is not None and strict:
            raise DataError(f"{aside.reason} (stopped for --strict)")
        found.clips.extend(clips)
        found.set_aside.extend([] if aside is None else [aside])
    return found


def _name(videos: Path, source: str, config: BuildConfig, detector: str) -> str:
    """Name the file of what becomes of a video: another one for whatever may change that."""
    status = (videos / source).stat()
    decides: tuple[Any, ...] = (
        source,
        status.st_size,
        status.st_mtime_ns,
        config.steps_per_s,
        config.looks_per_step,
        config.steps_per_search,
        config.asr,
        detector,
        metadata.version("dcet"),
    )
    return hashlib.sha256(repr(decides).encode("utf-8", "surrogateescape")).hexdigest() + ".json"


def _cut_missing(
    videos: Path,
    sources: Sequence[str],
    files: dict[str, Path],
    config: BuildConfig,
    progress: Progress,
    workers: int,
) -> None:
    context = multiprocessing.get_context("spawn")
    waiting, running = deque(sources), dict[Any, tuple[BaseProcess, str]]()
    died = set[str]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                source = waiting.popleft()
                if not files[source].exists():  # another machine may have cut it meanwhile
                    arguments = (videos, source, config, files[source])
                    process: BaseProcess = context.Process(target=_cut, args=arguments)
                    process.start()
                    running[process.sentinel] = process, source
            for sentinel in wait(list(running)) if running else ():  # of nothing it never ends
                process, source = running.pop(sentinel)
                process.join()
                if files[source].exists():
                    _expect_cut(files[source])
                elif source not in died:  # it may not be this video's fault
                    died.add(source)
                    waiting.appendleft(source)
                else:
                    _write_died(files[source], source)
            progress.advance(
                len(sources) - len(waiting) - len(running), len(sources), "videos cut into turns"
            )
    finally:
        for process, _ in running.values():
            process.kill()


def _cut(videos: Path, source: str, config: BuildConfig, file: Path) -> None:
    """Cut a video, in a process of its own."""
    begin_worker()
    cv2.setNumThreads(1)
    path, turns, reason = videos / source, [], None
    try:
        with nullcontext() if config.asr is None else SpeechRecogniser(config.asr) as recogniser:
            transcribe = None if recogniser is None else recogniser.transcribe
            cutter = TurnsOfVideo(config, Bundle.default(), FaceFinder(), transcribe)
            turns = [asdict(turn) for turn in cutter.of(path)]
        if not turns:
            raise UnusableMedia(f"{path}: no voice is heard in it; leave it out")
    except DataError as error:
        reason = {"error": type(error).__name__, "reason": str(error).replace(f"{videos}/", "")}
    except DcetError as error:
        write_json(file, {"failed": str(error)})
        return
    write_json(file, {"turns": turns, "set_aside": reason})


def _expect_cut(file: Path) -> None:
    """Raise ConfigError where the video could not even be begun with."""
    if failed := read_json(file).get("failed"):
        file.unlink()
        raise ConfigError(failed)


def _write_died(file: Path, source: str) -> None:
    reason = (
        f"{source}: the process that cut it into turns died, of a fault in the decoder or of lack "
        "of memory; convert the file, or leave it out"
    )
    write_json(file, {"turns": [], "set_aside": {"error": "UnusableMedia", "reason": reason}})


def _read(file: Path, source: str, split: str) -> tuple[list[Clip], SetAside | None]:
    value = read_json(file)
    clips = [
        Clip(
            split=split,
            dialogue=source,
            utterance=number,
            speaker=turn["told"]["speaker"],
            emotion=None,
            sentiment=None,
            text=normalise_text(turn["text"] or "") or None,
            source=source,
            part_us=(turn["start_us"], turn["end_us"]),
            start_us=turn["start_us"],
            end_us=turn["end_us"],
            told=Told(**{**turn["told"], "sights": tuple(map(tuple, turn["told"]["sights"]))}),
        )
        for number, turn in enumerate(value["turns"])
    ]
    aside = value["set_aside"]
    if aside is not None:
        aside = SetAside(source=source, split=split, dialogue=source, utterance=None, **aside)
    return clips, aside
