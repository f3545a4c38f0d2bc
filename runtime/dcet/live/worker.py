"""A thread that does one thing after the other, and goes on when one of them fails."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
Job = Callable[[], object]


class Worker:
    """Does jobs in order. Any thread may give it some; those that weigh are bounded by kind.

    failed: told of what a job raised
    idle: called when there was nothing to do for `tick_s`
    """

    def __init__(
        self,
        name: str,
        *,
        failed: Callable[[Exception], None],
        idle: Callable[[], None] | None = None,
        tick_s: float | None = None,
    ) -> None:
        self._failed = failed
        self._idle = idle
        self._tick_s = tick_s
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Job, str, float]] = deque()
        self._weights: dict[str, float] = defaultdict(float)
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def offer(self, job: Job, kind: str, weight: float, most: float) -> bool:
        """Do a job when those before are done, unless those of its kind that wait would weigh more
        than `most`; say whether it is taken."""
        with self._changed:
            if self._is_closed or self._weights[kind] + weight > most:
                return False
            self._weights[kind] += weight
            self._jobs.append((job, kind, weight))
            self._changed.notify()
            return True

    def ask(self, job: Callable[[], T]) -> T:
        """Do a job when those before are done, and return what it returns, or raise."""
        if threading.current_thread() is self._thread:
            return job()
        future: Future[T] = Future()

        def answer() -> None:
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001  raised where it was asked for
                future.set_exception(error)

        with self._changed:
            is_closed = self._is_closed
            if not is_closed:
                self._jobs.append((answer, "", 0.0))
                self._changed.notify()
        if is_closed:
            return job()  # nobody else does anything any more
        return future.result()

    def close(self) -> None:
        """Do what waits, and end."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            job: Job | None = self._idle
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._is_closed, self._tick_s)
                if self._jobs:
                    job, kind, weight = self._jobs.popleft()
                    self._weights[kind] -= weight
                elif self._is_closed:
                    return
            try:
                if job is not None:
                    job()
            except Exception as error:  # noqa: BLE001  the rest goes on
                self._failed(error)
