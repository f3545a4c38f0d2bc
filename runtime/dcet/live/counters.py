"""What became of everything that came in: it was used, it came late, or it was dropped."""

import threading
from collections import Counter
from typing import Any, Literal

Stream = Literal["samples", "frames", "texts", "turns"]
Fate = Literal["used", "late", "dropped"]
STREAMS: tuple[Stream, ...] = ("samples", "frames", "texts", "turns")
FATES: tuple[Fate, ...] = ("used", "late", "dropped")


class Counters:
    """Counts of what came in and what became of it. Any thread may use them.

    For each stream, received = used + late + dropped + waiting, and nothing waits once a session
    is closed. A sample is used when it was listened to, a frame when it was looked at, a text when
    an estimate was made from it, a turn when it was answered in time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: Counter[Stream] = Counter()
        self._fates: Counter[tuple[Stream, Fate]] = Counter()
        self._reasons: Counter[str] = Counter()

    def receive(self, stream: Stream, count: int = 1) -> None:
        """Count what came in; what becomes of it is told later."""
        with self._lock:
            self._received[stream] += count

    def settle(self, stream: Stream, fate: Fate, count: int = 1, *, why: str = "") -> None:
        """Count what became of so many; `why` names what is wrong with late or dropped ones."""
        if count == 0:
            return
        with self._lock:
            self._fates[stream, fate] += count
            if why:
                self._reasons[f"{stream} {fate}: {why}"] += count

    def note(self, what: str, count: int = 1) -> None:
        """Count something else that a host may want to know, such as a jump of a clock."""
        with self._lock:
            self._reasons[what] += count

    def waiting(self, stream: Stream) -> int:
        """Return how many came in of which it is not known yet what becomes of them."""
        with self._lock:
            return self._waiting(stream)

    def as_dict(self) -> dict[str, Any]:
        """Return all counts: by stream and fate, and `notes` with the reasons."""
        with self._lock:
            counts: dict[str, Any] = {
                stream: {
                    "received": self._received[stream],
                    **{fate: self._fates[stream, fate] for fate in FATES},
                    "waiting": self._waiting(stream),
                }
                for stream in STREAMS
            }
            return counts | {"notes": dict(sorted(self._reasons.items()))}

    def _waiting(self, stream: Stream) -> int:
        return self._received[stream] - sum(self._fates[stream, fate] for fate in FATES)
