"""Accuracy against the deadline, on labelled conversations, with and without other work beside."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcet.benchmarks.live.load import busy
from dcet.benchmarks.progress import Track
from dcet.data.answers import Answer, LastAnswers
from dcet.data.metrics import emotion_metrics
from dcet.data.turns import LabelledTurn, Turns
from dcet.live.events import Event
from dcet.live.session import LiveSession
from dcet.runtime import Bundle
from dcet.runtime.labels import EMOTIONS, MODALITIES

DEADLINES_MS = (5.0, 10.0, 20.0, 50.0, 100.0)
WARM_TURNS = 40  # at first, from which the planner learns what things cost; they do not count
STEP_US = 10_000_000  # of media time, from turn to turn


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """All turns of the labelled set, each to be answered within a deadline."""

    deadline_ms: float
    busy: int  # processes beside it
    turns: int
    weighted_f1: float  # what comes late, or not at all, counts as the speaker's last answer
    on_time: float  # share of the turns
    p99_ms: float
    used: dict[str, float]  # share of the turns that the modality was used in, by modality
    left_out: dict[str, int]  # turns, by the part that was left out of them


def measure_deadlines(
    bundle: Bundle, engine: str, turns: Turns, loads: Sequence[int], track: Track
) -> tuple[Deadline, ...]:
    """Give every turn whole to a session, for each load and each deadline."""
    rows = []
    for load in loads:
        with busy(load):
            for deadline_ms in DEADLINES_MS:
                name = f"{deadline_ms:g} ms" + (f", {load} busy" if load else "")
                rows.append(_measure(bundle, engine, turns, deadline_ms, load, track, name))
    return tuple(rows)


def _measure(
    bundle: Bundle,
    engine: str,
    turns: Turns,
    deadline_ms: float,
    load: int,
    track: Track,
    name: str,
) -> Deadline:
    events: list[Event] = []
    answers: list[Answer] = []
    with LiveSession(bundle, engine=engine, deadline_ms=deadline_ms) as session:
        for number, turn in enumerate([*turns][:WARM_TURNS]):
            _answer(session, turn, number)
        for conversation in track(list(turns.conversations.values()), name):
            session.reset()
            last = LastAnswers()
            for turn in conversation:
                event = _answer(session, turn, WARM_TURNS + len(events))
                events.append(event)
                answers.append(last.after(turn.speaker, _known(event)))
    figures = emotion_metrics(turns.labels, [answer.probabilities for answer in answers])
    return Deadline(
        deadline_ms=deadline_ms,
        busy=load,
        turns=len(events),
        weighted_f1=figures["weighted_f1"],
        on_time=float(np.mean([event.status in ("ok", "abstain") for event in events])),
        p99_ms=float(np.quantile([event.latency_ms["total"] for event in events], 0.99)),
        used={
            modality: float(np.mean([_weight(event, modality) > 0 for event in events]))
            for modality in MODALITIES
        },
        left_out=count_left_out(events),
    )


def count_left_out(events: Sequence[Event]) -> dict[str, int]:
    """Count the events by the parts that were left out, whatever they would have taken."""
    parts = [{reason.partition(":")[0] for reason in event.left_out} for event in events]
    return dict(Counter(part for of_event in parts for part in of_event).most_common())


def _answer(session: LiveSession, turn: LabelledTurn, number: int) -> Event:
    return session.turn(
        turn.speaker,
        turn.text,
        turn.audio,
        turn.faces or None,
        sample_rate_hz=turn.sample_rate_hz,
        at_us=number * STEP_US,
    )


def _known(event: Event) -> Answer | None:
    """Return what a host has of a turn when it is due."""
    estimate = event.estimate
    if estimate is None or event.status not in ("ok", "abstain"):
        return None
    return Answer(
        np.array([estimate.probabilities[name] for name in EMOTIONS]),
        estimate.sentiment,
        shift=estimate.shift or 0.0,
        confidence=estimate.confidence,
    )


def _weight(event: Event, modality: str) -> float:
    return 0.0 if event.estimate is None else event.estimate.modality_weights[modality]
