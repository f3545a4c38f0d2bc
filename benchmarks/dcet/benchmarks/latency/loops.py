"""Latency of turns: back to back (closed loop), and paced with idle time between them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcet.benchmarks.progress import Track
from dcet.benchmarks.raw_turn import SPEAKERS
from dcet.benchmarks.stats import Histogram, Summary, histogram, summarise
from dcet.runtime import Conversation

# `turn` is the whole call, on the caller's clock
STAGES = ("tokenize", "text", "step", "turn")
THREE_SENSE_STAGES = ("tokenize", "text", "audio", "face", "step", "turn")

WARM_UP_BLOCK = 20
WARM_UP_BLOCKS = 15
WARM_UP_STABLE = 0.03  # medians of two blocks in a row this close: warm


@dataclass(frozen=True, kw_only=True)
class LoopPlan:
    """The texts of a loop, how many turns and how fast, with a sound and faces or without."""

    name: str
    texts: Sequence[str]
    tokens: tuple[int, ...]  # of each text
    turns: int
    interval_ms: float = 0.0  # from the start of a turn to the next; 0: back to back
    audio: NDArray[np.float32] | None = None
    faces: Sequence[NDArray[np.uint8]] | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        return STAGES if self.audio is None else THREE_SENSE_STAGES


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The latencies of the turns of a plan, by stage."""

    name: str
    interval_ms: float
    tokens: tuple[int, ...]
    latency_ms: dict[str, Summary]
    histogram_ms: dict[str, Histogram]


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    turns: int
    stable: bool  # False: the medians still moved when the warm-up ended


def warm_up(conversation: Conversation, plan: LoopPlan, track: Track) -> WarmUp:
    """Play turns until the median of a block of them stays the same, or the blocks are used up."""
    last = float("inf")
    for block in track(range(WARM_UP_BLOCKS), "warm-up"):
        turns = [_timed_turn(conversation, index, plan)["turn"] for index in range(WARM_UP_BLOCK)]
        median = float(np.median(turns))
        if abs(median / last - 1) < WARM_UP_STABLE:
            return WarmUp(turns=(block + 1) * WARM_UP_BLOCK, stable=True)
        last = median
    return WarmUp(turns=WARM_UP_BLOCKS * WARM_UP_BLOCK, stable=False)


def measure_loop(conversation: Conversation, plan: LoopPlan, track: Track) -> Loop:
    """Play the plan. A paced turn that finds its predecessor late starts at once."""
    samples = []
    due_s = time.perf_counter()
    for index in track(range(plan.turns), plan.name):
        due_s = max(due_s + plan.interval_ms / 1000, time.perf_counter())
        if plan.interval_ms:
            time.sleep(max(0.0, due_s - time.perf_counter()))
        samples.append(_timed_turn(conversation, index, plan))
    by_stage = {stage: [sample[stage] for sample in samples] for stage in plan.stages}
    return Loop(
        name=plan.name,
        interval_ms=plan.interval_ms,
        tokens=plan.tokens,
        latency_ms={stage: summarise(values) for stage, values in by_stage.items()},
        histogram_ms={stage: histogram(values) for stage, values in by_stage.items()},
    )


def _timed_turn(conversation: Conversation, index: int, plan: LoopPlan) -> dict[str, float]:
    speaker, text = SPEAKERS[index % len(SPEAKERS)], plan.texts[index % len(plan.texts)]
    start_ns = time.perf_counter_ns()
    estimate = conversation.turn(speaker, text, plan.audio, plan.faces)
    turn_ms = (time.perf_counter_ns() - start_ns) / 1e6
    return {**{stage: estimate.latency_ms[stage] for stage in plan.stages[:-1]}, "turn": turn_ms}
