"""Prepares clips on the machines of a Ray cluster, which share the disk of videos and parts."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dcet.dvcea.annotations import Clip
from dcet.dvcea.prepare import died, prepare_anywhere, write_prepared
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.workers import AHEAD
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need

RETRIES = 3  # of a clip whose process or machine died


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
        """Do as `Workers.preparing`. Raises ConfigError where persons need a GPU and none is."""
        ray, is_ours = self._ray, not self._ray.is_initialized()
        if is_ours:
            is_local = "RAY_ADDRESS" not in os.environ
            own: dict[str, Any] = {"num_cpus": self._count, "include_dashboard": False}
            ray.init(log_to_driver=False, logging_level="ERROR", **(own if is_local else {}))
        try:
            yield self._ready(clips)
        finally:
            if is_ours:
                ray.shutdown()

    def _ready(self, clips: Sequence[tuple[Clip, Path]]) -> Callable[[Path], None]:
        ray, (videos, config, _) = self._ray, self._started_with
        cores = int(ray.cluster_resources().get("CPU", self._count))
        options = {"max_retries": RETRIES, "num_gpus": self._gpus_of_a_task(cores)}
        prepare = ray.remote(**options)(prepare_anywhere)
        most = AHEAD * config.utterances_at_once + cores  # whatever waits, waits on the disk
        todo = iter([(clip, file) for clip, file in clips if not file.exists()])
        clip_of = {file: clip for clip, file in clips}
        begun: dict[Path, Any] = {}

        def ready(file: Path) -> None:
            while len(begun) < most and (following := next(todo, None)) is not None:
                clip, its_file = following
                arguments = (*self._started_with, clip, its_file.absolute())
                begun[its_file] = prepare.remote(*arguments)
            if (task := begun.pop(file, None)) is None:
                return
            try:
                ray.get(task)
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError):
                if not file.exists():
                    write_prepared(file, died(clip_of[file], videos))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None  # a full disk: what its message says is for people

        return ready

    def _gpus_of_a_task(self, cores: int) -> float:
        """Return what a task takes of a GPU: nothing, unless it tells persons apart there."""
        _, config, device = self._started_with
        if device != "cuda" or config.persons is None:
            return 0
        gpus = float(self._ray.cluster_resources().get("GPU", 0))
        if gpus == 0:
            raise ConfigError(
                "--persons with --device cuda: expected a Ray cluster with GPUs, it has none; "
                "add --device cpu, or machines with GPUs"
            )
        return min(1.0, gpus / cores)
