"""When a person's emotion changed, told once: a label that flickers from turn to turn does not."""

from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.events import UNKNOWN, Event
from dcet.runtime.labels import EMOTIONS

HALF_LIFE_US = 5_000_000  # in which what was said counts half
MARGIN = 0.15  # of probability by which another emotion must lead
MOST_SPEAKERS = 256  # who are followed; the one unheard for longest makes room


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From now on a person counts as of another emotion."""

    speaker: str
    at_us: int  # media time: the end of the turn that made the difference
    turn_id: int
    before: str | None  # None: nothing was known of them
    now: str
    probability: float  # of `now`, over the last turns

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Belief:
    """What is believed of a person: the sum of probabilities (7,), each by its age."""

    label: str | None
    turn_id: int
    at_us: int
    sums: NDArray[np.float64]


class Changes:
    """Follows the label of every person through the events of a session.

    Only finals and revised finals count, each half as much for every 5 s of its age, by media time.
    The label changes where another emotion leads by 0.15 of the mean, so that a strong sudden
    change is told at once, a weak one when it lasts, and none between two that are about equal.
    What abstains changes nothing, and neither does a turn of an unknown speaker.
    """

    def __init__(self) -> None:
        # Of each person before and after the last turn: a revised one takes the place of its final.
        self._beliefs: OrderedDict[str, tuple[_Belief, _Belief]] = OrderedDict()

    def update(self, event: Event) -> Change | None:
        """Take the next event; return the change that it makes."""
        estimate = event.estimate
        if event.kind == "interim" or event.speaker == UNKNOWN:
            return None
        if estimate is None or estimate.abstains is not None:
            return None
        nothing = _Belief(None, 0, event.end_us, np.zeros(len(EMOTIONS)))
        before, after = self._beliefs.pop(event.speaker, (nothing, nothing))
        if event.turn_id > after.turn_id:
            before = after
        elif event.turn_id < after.turn_id:  # revised too late: others were heard since
            self._beliefs[event.speaker] = before, after
            return None
        held = after.label
        age_us = max(0, event.end_us - before.at_us)
        new = np.array([estimate.probabilities[name] for name in EMOTIONS])
        sums = before.sums * 0.5 ** (age_us / HALF_LIFE_US) + new
        mean = sums / sums.sum()
        leads = EMOTIONS[int(mean.argmax())]
        if held is not None and mean.max() - mean[EMOTIONS.index(held)] < MARGIN:
            leads = held
        now = _Belief(leads, event.turn_id, max(before.at_us, event.end_us), sums)
        self._beliefs[event.speaker] = before, now
        if len(self._beliefs) > MOST_SPEAKERS:
            self._beliefs.popitem(last=False)
        if leads == held:
            return None
        return Change(
            speaker=event.speaker,
            at_us=event.end_us,
            turn_id=event.turn_id,
            before=held,
            now=leads,
            probability=float(mean.max()),
        )

    def forget(self, speaker: str) -> None:
        """Leave nothing of a person. Who is not known is none."""
        self._beliefs.pop(speaker, None)
