"""Holds events until the host asks for them."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator

from dcet.live.counters import Counters
from dcet.live.events import Event

POLL_S = 0.5  # in which a waiting coroutine looks whether it was closed
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


class EventSource:
    """Gives the events of an outbox. Several may ask; each event is given once."""

    _outbox: Outbox

    def poll(self) -> Event | None:
        """Return the next event; None where there is none now."""
        return self._outbox.take()

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Give events as they come, until the session is closed or none came for `timeout` s."""
        while True:
            event = self._outbox.take()
            if event is not None:
                yield event
            elif self._outbox.is_done or not self._outbox.wait(timeout):
                return

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Give events as they come, until the session is closed."""
        while not self._outbox.is_done:
            event = self._outbox.take()
            if event is not None:
                yield event
            else:
                await asyncio.to_thread(self._outbox.wait, POLL_S)
