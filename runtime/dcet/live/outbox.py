"""Hands events to the host: to whoever asks, and to a callback that may fail or hang."""

import threading
from collections import deque

from dcet.live.counters import Counters
from dcet.live.events import Event

MOST = 4096  # events that nobody has asked for yet


class Outbox:
    """A bounded queue of events. Any thread may use it.

    Where nobody takes them, interims are dropped first, then the oldest events, and counted.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._changed = threading.Condition()
        self._events: deque[Event] = deque()
        self._is_closed = False

    def put(self, event: Event) -> None:
        """Add an event."""
        with self._changed:
            if len(self._events) == MOST:
                interims = (each for each in self._events if each.kind == "interim")
                self._events.remove(next(interims, self._events[0]))
                self._counters.note("events that nobody took")
            self._events.append(event)
            self._changed.notify_all()

    def take(self) -> Event | None:
        """Return the next event; None where there is none now."""
        with self._changed:
            return self._events.popleft() if self._events else None

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until there is an event, and say so; False where the time is over or the outbox is
        closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._is_closed, timeout_s)
            return bool(self._events)

    @property
    def is_done(self) -> bool:
        """Whether it is closed, and all events were taken."""
        with self._changed:
            return self._is_closed and not self._events

    def close(self) -> None:
        """Let those who wait know that no more events come."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
