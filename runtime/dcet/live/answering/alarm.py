"""Rings where an answer is not there in time."""

import threading
import time
from collections.abc import Callable


class Alarm:
    """One alarm at a time, in a thread of its own."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due_s: float | None = None
        self._ring: Callable[[], None] | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="dcet-alarm", daemon=True)
        self._thread.start()

    def set(self, due_s: float, ring: Callable[[], None]) -> None:
        """Call `ring` at a time of time.perf_counter, unless it is cleared before."""
        with self._changed:
            self._due_s, self._ring = due_s, ring
            self._changed.notify()

    def clear(self) -> None:
        """Let it not ring."""
        with self._changed:
            self._due_s = self._ring = None

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._is_closed:
                    return
                left_s = None if self._due_s is None else self._due_s - time.perf_counter()
                if left_s is None or left_s > 0:
                    self._changed.wait(left_s)
                    continue
                ring, self._due_s, self._ring = self._ring, None, None
            if ring is not None:
                ring()
