"""Makes an event of what is known of a turn, and counts what became of the turn."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dcet.live.answering.texts import Words, join
from dcet.live.events import Event, Kind, Status
from dcet.live.people.people import Who
from dcet.runtime.estimate import Estimate
from dcet.runtime.senses.encoded import Encoded

EARLY = 0.1  # of the deadline: until a thread that is to tell something does
EARLY_MS = 4.0


@dataclass(slots=True, eq=False)
class Spoken:
    """A turn to be answered."""

    turn_id: int
    who: Who
    start_us: int
    end_us: int
    encoded: Encoded | None  # its sound, for `who.speaker`
    words: Sequence[Words]
    revision: int = 0
    hangover_ms: float = 0.0
    arrived_s: float = 0.0  # when what decides it came in, on the clock of time.perf_counter
    started_s: float = field(default_factory=time.perf_counter)  # when it was begun with
    ahead_ms: Mapping[str, float] = field(default_factory=dict)  # spent while they spoke
    left_out: list[str] = field(default_factory=list)
    at_once: Estimate | None = None  # what can be told without running anything
    at_once_lacks: str = ""  # what that is made without
    is_answered: bool = False  # with that
    is_encoded: bool = False  # `encoded` is all of it, words and faces, too
    told: Callable[[Event], None] | None = None  # called with its final


class Reporter:
    """Numbers events and sends them off."""

    def __init__(self, emit: Callable[[Event], None], *, deadline_ms: float | None) -> None:
        self._emit = emit
        self._deadline_ms = deadline_ms
        self._seq = 0
        self._lock = threading.Lock()

    def due_s(self, spoken: Spoken) -> float | None:
        """Return when a final must be told to be there in time, on the clock of
        time.perf_counter."""
        if self._deadline_ms is None:
            return None
        early_ms = max(EARLY_MS, EARLY * self._deadline_ms)
        return spoken.arrived_s + (self._deadline_ms - early_ms) / 1000

    def say_at_once(self, spoken: Spoken, left_out: Sequence[str]) -> None:
        """Send a final of what can be told at once, where that is anything and none was sent."""
        with self._lock:
            if spoken.at_once is not None and not spoken.is_answered:
                spoken.is_answered = True
                told = replace(spoken, left_out=[*left_out, spoken.at_once_lacks], ahead_ms={})
                self._say("final", told, replace(spoken.at_once, latency_ms={}))
                spoken.revision = told.revision

    def say(self, kind: Kind, spoken: Spoken, estimate: Estimate | None) -> Status:
        """Send an event; without an estimate, it is missing. A final that was answered at once is
        revised, as late. Returns the status."""
        with self._lock:
            is_late = kind == "final" and spoken.is_answered
            if kind == "final":
                spoken.at_once = None  # the alarm may be about to ring
            return self._say("revised" if is_late else kind, spoken, estimate)

    def _say(self, kind: Kind, spoken: Spoken, estimate: Estimate | None) -> Status:
        is_final = kind == "final"
        latency_ms = _latency_ms(spoken, estimate)
        status: Status = "missing" if estimate is None else "ok"
        if estimate is not None and estimate.abstains is not None:
            status = "abstain"
        deadline_us = None
        if is_final and self._deadline_ms is not None:
            due_ms = spoken.hangover_ms + self._deadline_ms
            deadline_us = spoken.end_us + round(due_ms * 1000)
            if estimate is not None and latency_ms["total"] > self._deadline_ms:
                status = "late"
        elif kind == "revised" and spoken.is_answered and estimate is not None:
            status = "late"
        self._seq += 1
        event = Event(
            seq=self._seq,
            turn_id=spoken.turn_id,
            revision=spoken.revision,
            kind=kind,
            status=status,
            speaker=spoken.who.speaker,
            speaker_confidence=spoken.who.confidence,
            start_us=spoken.start_us,
            end_us=spoken.end_us,
            text=join(spoken.words),
            estimate=estimate,
            left_out=tuple(spoken.left_out),
            deadline_us=deadline_us,
            latency_ms=latency_ms,
        )
        spoken.revision += 1
        self._emit(event)
        if is_final and spoken.told is not None:
            spoken.told(event)
        return status


def _latency_ms(spoken: Spoken, estimate: Estimate | None) -> dict[str, float]:
    """Return what each stage took since what decides the turn came in, and `total`, all of that;
    `queue` is what it waited before anything was done, `ahead` what was spent on the turn before,
    while they spoke."""
    whole = {} if estimate is None else estimate.latency_ms
    before = spoken.ahead_ms
    stages = {stage: max(0.0, took - before.get(stage, 0.0)) for stage, took in whole.items()}
    return stages | {
        "hangover": spoken.hangover_ms,
        "ahead": sum(took for stage, took in before.items() if stage != "total"),
        "queue": max(0.0, spoken.started_s - spoken.arrived_s) * 1000,
        "total": (time.perf_counter() - spoken.arrived_s) * 1000,
    }
