"""The course of one speaker's estimates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import Floats
from dcet.runtime.labels import EMOTIONS

EARLIER = 0  # number of a turn in an earlier conversation


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """The last turns of one speaker, oldest first."""

    speaker: str
    turns: NDArray[np.int64]  # (n,) number in the conversation, from 1; 0: in an earlier one
    times_us: NDArray[np.int64]  # (n,) media time, as `at_us` of the turn; -1 where it had none
    probabilities: Floats  # (n, 7) in the order of EMOTIONS
    sentiment: Floats  # (n,) in [-1, 1]
    shift: Floats  # (n,) NaN on the speaker's first turn
    confidence: Floats  # (n,) as in Estimate; NaN where the bundle has none

    def as_dict(self) -> dict[str, Any]:
        """Return the trajectory as values that JSON has, point by point: `time_us` is None where it
        is not known, `shift` on the speaker's first turn, `confidence` where there is none."""
        points = [
            {
                "turn": int(self.turns[i]),
                "time_us": int(self.times_us[i]) if self.times_us[i] >= 0 else None,
                "probabilities": dict(zip(EMOTIONS, self.probabilities[i].tolist(), strict=True)),
                "sentiment": float(self.sentiment[i]),
                "shift": _or_none(self.shift[i]),
                "confidence": _or_none(self.confidence[i]),
            }
            for i in range(len(self.turns))
        ]
        return {"speaker": self.speaker, "points": points}


def _or_none(number: np.float32) -> float | None:
    return None if np.isnan(number) else float(number)
