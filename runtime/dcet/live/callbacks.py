"""Calls the host back from a thread of its own, so that a callback may raise, hang or close."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from dcet.live.counters import Counters

MOST = 4096  # calls that wait for a callback
HANGS_S = 1.0
ENDS_S = 1.0  # given to a callback when the session is closed

Call = tuple[Callable[[Any], object], Any]


class Callbacks:
    """Calls one after the other, in the order in which they were put."""

    def __init__(self, counters: Counters, *, threaded: bool) -> None:
        self._counters = counters
        self._threaded = threaded
        self._changed = threading.Condition()
        self._calls: deque[Call] = deque()
        self._is_closed = False
        self._since_s: float | None = None  # when the call that runs began
        self._thread: threading.Thread | None = None

    def put(self, callback: Callable[[Any], object], what: Any) -> None:
        """Call `callback(what)` soon. Where too many wait, the oldest is dropped and counted."""
        with self._changed:
            if len(self._calls) == MOST:
                self._calls.popleft()
                self._counters.note("callbacks dropped")
            self._calls.append((callback, what))
            if self._since_s is not None and time.monotonic() - self._since_s > HANGS_S:
                self._counters.note("callback hangs")
                self._since_s = None
            if self._threaded and self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, name="dcet-events", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def run_waiting(self) -> None:
        """Call here and now, where there is no thread for it."""
        while not self._threaded and self._calls:
            self._call(*self._calls.popleft())

    def close(self) -> None:
        """End the thread when all is told; leave a callback that hangs to itself."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(ENDS_S)
        if thread.is_alive():
            self._counters.note("callback hangs")

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._calls or self._is_closed)
                if not self._calls:
                    return
                call = self._calls.popleft()
            self._since_s = time.monotonic()
            self._call(*call)
            self._since_s = None

    def _call(self, callback: Callable[[Any], object], what: Any) -> None:
        try:
            callback(what)
        except BaseException as error:
            self._counters.note(f"callback raised {type(error).__name__}: {_shown(error)}")
            # In the host's own thread, what asks the program to end is not for us to hold up.
            if not self._threaded and not isinstance(error, Exception):
                raise


def _shown(error: BaseException) -> str:
    """Return the message of an error, whatever its class makes of it."""
    try:
        return str(error)[:80]
    except Exception:  # noqa: BLE001  its own
        return "it has no message"
