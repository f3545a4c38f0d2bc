"""Prepares clips on the machines of a Ray cluster, which share the disk of videos and parts."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dcet.dvcea.annotations import Clip
from dcet.dvcea.prepare import died, prepare_anywhere, write_prepared
from dcet.dvcea.settings import BuildConfig
from dcet.runtime.extras import need

RETRIES = 3  # of a clip whose process or machine died
CHUNKS_AHEAD = 2  # that may wait for the encoders


class RayWorkers:
    """Tasks of Ray, as `Workers`: in order, not too far ahead, and one that dies costs one clip.

    A cluster is joined where RAY_ADDRESS names one; else one of `count` cores is begun here and
    ended with the work. Raises MissingExtra.
    """

    def __init__(self, videos: Path, config: BuildConfig, device: str, count: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers
        self._ray = need("ray", extra="cluster")
        self._started_with = (videos.absolute(), config, device)
        self._count = count

    @contextmanager
    def preparing(self, clips: Sequence[tuple[Clip, Path]]) -> Iterator[Callable[[Path], None]]:
        """Do as `Workers.preparing`."""
        ray, is_ours = self._ray, not self._ray.is_initialized()
        if is_ours:
            is_local = "RAY_ADDRESS" not in os.environ
            own: dict[str, Any] = {"num_cpus": self._count, "include_dashboard": False}
            ray.init(log_to_driver=False, logging_level="ERROR", **(own if is_local else {}))
        prepare = ray.remote(max_retries=RETRIES)(prepare_anywhere)
        cores = int(ray.cluster_resources().get("CPU", self._count))
        ahead = CHUNKS_AHEAD * self._started_with[1].utterances_at_once + cores
        todo = iter([(clip, file) for clip, file in clips if not file.exists()])
        clip_of = {file: clip for clip, file in clips}
        begun: dict[Path, Any] = {}

        def ready(file: Path) -> None:
            while len(begun) < ahead and (following := next(todo, None)) is not None:
                clip, its_file = following
                arguments = (*self._started_with, clip, its_file.absolute())
                begun[its_file] = prepare.remote(*arguments)
            if (task := begun.pop(file, None)) is None:
                return
            try:
                ray.get(task)
            except ray.exceptions.WorkerCrashedError:
                if not file.exists():
                    write_prepared(file, died(clip_of[file], self._started_with[0]))

        try:
            yield ready
        finally:
            if is_ours:
                ray.shutdown()
