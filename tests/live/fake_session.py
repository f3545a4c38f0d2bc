"""Stands in for a session: it keeps what it was given, and answers what it is told to."""

import threading
from collections import deque
from typing import Any

from dcet.live.events import Event


class FakeSession:
    def __init__(self) -> None:
        self.pushed: list[tuple[str, str, int, int]] = []  # what, track, pts_us, how much
        self.waiting: deque[Event] = deque()
        self.is_closed = False
        self._lock = threading.Lock()

    def push_audio(self, pcm: Any, pts_us: int, *, sample_rate_hz: int, track: str) -> None:
        with self._lock:
            self.pushed.append(("audio", track, pts_us, len(pcm)))

    def push_frame(self, image: Any, pts_us: int, *, colors: str = "rgb", track: str) -> None:
        with self._lock:
            self.pushed.append((colors, track, pts_us, image.shape[0]))

    def push_text(
        self, text: str, start_us: int, end_us: int, *, speaker: str | None = None
    ) -> None:
        self.pushed.append(("text", speaker or "", start_us, len(text)))

    def poll(self) -> Event | None:
        return self.waiting.popleft() if self.waiting else None

    def close(self) -> None:
        self.is_closed = True
