"""What was measured when, of the last minute."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import Floats

HISTORY_US = 60_000_000

Times = NDArray[np.int64]


class History:
    """Values and their media times, which rise."""

    def __init__(self) -> None:
        self._times_us: deque[int] = deque()
        self._values: deque[float] = deque()

    def add(self, time_us: int, value: float) -> None:
        """Add a value. Where time stood still or ran backwards, what is not earlier is dropped."""
        while self._times_us and self._times_us[-1] >= time_us:
            self._times_us.pop()
            self._values.pop()
        self._times_us.append(time_us)
        self._values.append(value)
        while time_us - self._times_us[0] > HISTORY_US:
            self._times_us.popleft()
            self._values.popleft()

    def arrays(self) -> tuple[Times, Floats]:
        """Return times (n,) in microseconds and values (n,)."""
        return np.array(self._times_us, np.int64), np.array(self._values, np.float32)


def mean_between(times_us: Times, values: Floats, edges_us: Times) -> Floats:
    """Return the mean of what lies between each edge and the next, NaN where nothing does."""
    places = np.searchsorted(times_us, edges_us)
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    counts = np.diff(places)
    means = np.full(len(counts), np.nan, np.float32)
    np.divide(
        sums[places[1:]] - sums[places[:-1]], counts, out=means, where=counts > 0, casting="unsafe"
    )
    return means
