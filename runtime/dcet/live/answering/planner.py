"""Decides before each turn what is run, from what the stages took on this machine and the time that is left.

What is given up, in this order: faces, the end of the sound that is not encoded yet, the sound,
the words; then the memory alone answers.
"""  # noqa: E501

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

QUANTILE = 0.95
KEPT = 64  # of each stage and size: what a machine did a while ago says little
IDLE_S = (0.3, 3.0)  # after which caches and clocks are cold, and colder
UNKNOWN_MS = 25.0  # of a stage that never ran
COLD = 1.5  # times as long as what was measured warm, where nothing was measured cold
DOUBT = 0.8  # of what a stage is expected to take, when it was left out again
SPARE_MS = 2.0  # kept for what is not measured

Key = tuple[str, int]


class Costs:
    """What stages took, in milliseconds: a high quantile, by size and by how long nothing ran.

    Any thread may use it. An instance belongs to one engine on one machine.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._took: dict[tuple[Key, int], deque[float]] = {}
        self._last_s = clock_s()

    def note(self, stage: str, size: int, took_ms: float) -> None:
        """Take note of what a stage took just now, where it had anything to do."""
        if size == 0:
            return
        with self._lock:
            now_s = self._clock_s()
            cold = self._cold(now_s - took_ms / 1000)
            self._took.setdefault(((stage, size), cold), deque(maxlen=KEPT)).append(took_ms)
            self._last_s = now_s

    def expect_ms(self, stage: str, size: int) -> float:
        """Return what a stage will take if it runs now; 0 for nothing."""
        if size == 0:
            return 0.0
        with self._lock:
            cold = self._cold(self._clock_s())
            for near in sorted(range(len(IDLE_S) + 1), key=lambda other: abs(other - cold)):
                if took := self._took.get(((stage, size), near)):
                    factor = COLD if near < cold else 1.0
                    return factor * float(np.quantile(took, QUANTILE))
            return self._scaled_ms(stage, size)

    def doubt(self, stage: str, size: int) -> None:
        """Expect a little less of a stage that was left out, so that it is tried again."""
        expected_ms = self.expect_ms(stage, size)
        with self._lock:
            key = (stage, size), self._cold(self._clock_s())
            took = self._took.setdefault(key, deque(maxlen=KEPT))
            if len(took) > 1:
                took.remove(max(took))
            elif size:
                took.clear()
                took.append(DOUBT * expected_ms)

    def _scaled_ms(self, stage: str, size: int) -> float:
        """Scale what other sizes took."""
        others = {
            known: float(np.quantile(took, QUANTILE))
            for ((name, known), _), took in self._took.items()
            if name == stage
        }
        if not others:
            return UNKNOWN_MS * size
        near = min(others, key=lambda known: abs(known - size))
        return others[near] * max(1.0, size / near)

    def _cold(self, now_s: float) -> int:
        idle_s = now_s - self._last_s
        return sum(idle_s > bound for bound in IDLE_S)


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to answer a turn: what it runs, and what it leaves out."""

    stages: Mapping[str, int]  # and their sizes
    left_out: str = ""  # what the choice before it still had


class Planner:
    """Takes the first of several choices, the best first, that will be done in time."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs

    def plan(
        self, choices: Sequence[Choice], left_ms: float | None
    ) -> tuple[Choice | None, tuple[str, ...]]:
        """Return the choice, and what it leaves out and why, where `left_ms` are left; None is all
        the time that it takes. No choice: none of them would be done in time."""
        left_out: list[str] = []
        why = ""
        for choice in choices:
            if choice.left_out:
                left_out.append(f"{choice.left_out}: {why}")
            takes_ms = sum(self.costs.expect_ms(*stage) for stage in choice.stages.items())
            if left_ms is None or takes_ms + SPARE_MS <= left_ms:
                return choice, tuple(left_out)
            why = f"it would take {takes_ms:.0f} ms, {max(0.0, left_ms):.0f} ms are left"
            self.costs.doubt(*max(choice.stages.items(), key=lambda it: self.costs.expect_ms(*it)))
        return None, (*left_out, f"all but the memory: {why}")
