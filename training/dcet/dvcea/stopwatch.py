"""How long each stage of a build takes."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Seconds by stage, in one thread. A stage within another counts for itself alone."""

    def __init__(self) -> None:
        self.took_s: dict[str, float] = defaultdict(float)
        self._stage: str | None = None
        self._since_s = 0.0

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Count the block for a stage."""
        outer = self._stage
        self._go_on_with(stage)
        try:
            yield
        finally:
            self._go_on_with(outer)

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Count for a stage what it takes to get the next of the items, each time."""
        source = iter(items)
        while True:
            with self.of(stage):
                try:
                    item = next(source)
                except StopIteration:
                    return
            yield item

    def _go_on_with(self, stage: str | None) -> None:
        now_s = time.perf_counter()
        if self._stage is not None:
            self.took_s[self._stage] += now_s - self._since_s
        self._stage, self._since_s = stage, now_s
