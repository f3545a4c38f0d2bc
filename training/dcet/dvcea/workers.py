"""Processes that prepare clips ahead of the encoders, but not too far ahead."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from dcet.dvcea.annotations import Clip
from dcet.dvcea.prepare import begin_worker, died, prepare_anywhere, write_prepared
from dcet.dvcea.settings import BuildConfig

AHEAD = 2  # chunks that may wait for the encoders


class Workers:
    """A pool of processes; one that dies, as decoders of broken files may, costs one clip."""

    def __init__(self, videos: Path, config: BuildConfig, device: str, count: int) -> None:
        self._started_with = (videos, config, device)
        self._count = count
        self._ahead = AHEAD * config.utterances_at_once + count

    @contextmanager
    def preparing(self, clips: Sequence[tuple[Clip, Path]]) -> Iterator[Callable[[Path], None]]:
        """Prepare clips into files, in order; what is there already is not made again.

        Yields a function that returns once a file is there; files are to be waited for in order.
        """
        todo = iter([(clip, file) for clip, file in clips if not file.exists()])
        clip_of = {file: clip for clip, file in clips}
        begun: dict[Path, Future[None]] = {}
        pool = self._pool(self._count)

        def ready(file: Path) -> None:
            nonlocal pool
            while len(begun) < self._ahead and (following := next(todo, None)) is not None:
                clip, its_file = following
                begun[its_file] = self._submitted(pool, clip, its_file)
            future = begun.pop(file, None)
            if future is None:
                return
            try:
                future.result()
            except BrokenProcessPool:
                pool.shutdown(wait=False, cancel_futures=True)
                self._prepare_alone(clip_of[file], file)
                pool = self._pool(self._count)
                for other in begun:
                    if not other.exists():
                        begun[other] = self._submitted(pool, clip_of[other], other)

        try:
            yield ready
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _prepare_alone(self, clip: Clip, file: Path) -> None:
        """Prepare a clip that was under way when a process died; set it aside if it is to blame."""
        if file.exists():
            return
        with self._pool(1) as pool:
            try:
                self._submitted(pool, clip, file).result()
            except BrokenProcessPool:
                write_prepared(file, died(clip, self._started_with[0]))

    def _pool(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=begin_worker,
        )

    def _submitted(self, pool: ProcessPoolExecutor, clip: Clip, file: Path) -> "Future[None]":
        try:
            return pool.submit(prepare_anywhere, *self._started_with, clip, file)
        except BrokenProcessPool as error:  # found to be dead a moment ago
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed
