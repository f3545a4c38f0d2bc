"""Progress on stderr that never draws while a turn is being timed."""

import time
from collections.abc import Iterator, Sequence
from typing import Protocol, Self, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dcet.runtime.cli.output import make_console

T = TypeVar("T")
REFRESH_S = 0.25


class Track(Protocol):
    """Wraps the items of a loop to show how far it is."""

    def __call__(self, items: Sequence[T], label: str, /) -> Iterator[T]: ...


class TrackOnStderr:
    """A progress bar a loop, drawn between two turns only.

    rich would otherwise redraw from a thread of its own, and its work would show up as latency.
    """

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=make_console(stderr=True),
            auto_refresh=False,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def __call__(self, items: Sequence[T], label: str, /) -> Iterator[T]:
        task = self._progress.add_task(label, total=len(items))
        drawn = 0.0
        done = 0
        try:
            for done, item in enumerate(items, start=1):
                if time.monotonic() - drawn > REFRESH_S:
                    self._progress.update(task, completed=done - 1, refresh=True)
                    drawn = time.monotonic()
                yield item
        finally:  # also when the loop was left early
            self._progress.update(task, total=done, completed=done, refresh=True)
