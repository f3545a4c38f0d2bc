"""The figures of a live report that count, each with the bar that it should keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dcet.benchmarks.live.cutting import Cutting
from dcet.benchmarks.live.deadlines import Deadline
from dcet.benchmarks.live.long_run import LongRun
from dcet.benchmarks.live.people import People
from dcet.benchmarks.live.streaming import IdleRoom, Streaming


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a headline is, and the bar; at most it, or at least where `more` is better."""

    name: str
    unit: str  # empty: a share or a score
    bar: float
    more: bool = False


JUDGED_MS = 50.0  # the deadline at which accuracy with and without load is compared
KNOWN: Mapping[str, Known] = {
    "final_p50": Known(name="end of speech to final, p50", unit="ms", bar=12),
    "final_p99": Known(name="end of speech to final, p99", unit="ms", bar=30),
    "busy_on_time": Known(name="finals within 50 ms, all cores busy", unit="", bar=0.99, more=True),
    "busy_f1_lost": Known(name="weighted F1 lost to busy cores, within 50 ms", unit="", bar=0.03),
    "stream_cpu": Known(name="cores that a room takes", unit="cores", bar=1),
    "idle_cpu": Known(name="cores that an empty room takes", unit="cores", bar=0.10),
    "cut_error": Known(name="turns of meetings: wrong, share of all time", unit="", bar=0.12),
    "cut_delay": Known(name="turns of meetings: end known after, p50", unit="ms", bar=350),
    "right_person": Known(name="right person, worst of all clips", unit="", bar=0.95, more=True),
    "wrong_person": Known(name="wrong person, worst of all clips", unit="", bar=0.02),
    "crossed_ids": Known(name="ids that two people had", unit="ids", bar=0),
    "long_growth": Known(name="memory growth over the long run", unit="MiB", bar=2),
    "long_p99": Known(name="p99 at the end of the long run to that at first", unit="×", bar=1.25),
    "long_counters": Known(name="counts that do not add up", unit="", bar=0),
}


@dataclass(frozen=True, kw_only=True)
class Headline:
    key: str  # of KNOWN
    name: str
    value: float
    unit: str
    bar: float
    is_met: bool


def headlines(
    deadlines: Sequence[Deadline],
    streaming: Sequence[Streaming],
    idle: IdleRoom | None,
    cutting: Cutting | None,
    people: Sequence[People],
    long_run: LongRun | None,
) -> tuple[Headline, ...]:
    """Take the figures out of the parts of a report that there are."""
    values: dict[str, float] = {}
    for row in streaming:
        if row.busy:
            values["busy_on_time"] = row.on_time
        elif row.latency_ms is not None:
            values["final_p50"], values["final_p99"] = row.latency_ms.p50, row.latency_ms.p99
            values["stream_cpu"] = row.cpu_cores
    judged = {row.busy > 0: row for row in deadlines if row.deadline_ms == JUDGED_MS}
    if len(judged) == 2:
        values["busy_f1_lost"] = judged[False].weighted_f1 - judged[True].weighted_f1
    if idle is not None:
        values["idle_cpu"] = idle.cpu_cores
    if cutting is not None:
        values["cut_error"] = cutting.error
        if cutting.delay_p50_ms is not None:
            values["cut_delay"] = cutting.delay_p50_ms
    if people:
        values["right_person"] = min(row.who.right for row in people)
        values["wrong_person"] = max(row.who.wrong for row in people)
        values["crossed_ids"] = sum(row.who.crossed for row in people)
    if long_run is not None:
        values["long_growth"] = long_run.growth_bytes / 2**20
        values["long_p99"] = long_run.p99_last_ms / max(long_run.p99_first_ms, 1e-9)
        values["long_counters"] = float(not long_run.is_exact)
    return tuple(_headline(key, values[key]) for key in KNOWN if key in values)


def _headline(key: str, value: float) -> Headline:
    known = KNOWN[key]
    is_met = value >= known.bar if known.more else value <= known.bar
    return Headline(
        key=key, name=known.name, value=value, unit=known.unit, bar=known.bar, is_met=is_met
    )
