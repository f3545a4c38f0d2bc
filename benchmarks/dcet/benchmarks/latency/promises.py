"""The promises of DCET about latency and memory, and whether a measurement keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dcet.benchmarks.latency.cold_start import ColdStart
from dcet.benchmarks.latency.growth import GrowthPoint, MemoryPoint
from dcet.benchmarks.latency.loops import Loop

STEP_P50_MS = 2.0
TEXT_TURN_P50_MS = 15.0
THREE_SENSE_TURN_P50_MS = 25.0  # 32 tokens, 3 s of sound and 8 faces, on two cores
GROWTH_P50_PERCENT = 5.0
MEMORY_GROWTH_KIB = 1024.0
SIZES_GROWTH_MIB = 384.0  # what an engine may keep for a bounded number of shapes: most in OpenVINO
IMPORT_S = 0.2
FIRST_ESTIMATE_S = 1.0

JUDGED_TURN = 10_000  # the age at which a turn must cost what it did at turn 10


@dataclass(frozen=True, kw_only=True)
class Promise:
    name: str
    value: float
    limit: float
    unit: str

    @property
    def kept(self) -> bool:
        return abs(self.value) <= self.limit


def check_promises(
    text_turn: Loop,
    three_senses: Loop | None,
    growth: Sequence[GrowthPoint],
    sizes: Sequence[MemoryPoint],
    cold_start: ColdStart,
) -> tuple[Promise, ...]:
    """Judge the closed loops of one fixed turn, growth over turns and sizes, and the cold start."""
    first, last = growth[0], growth[-1]
    judged = max((point for point in growth if point.at <= JUDGED_TURN), key=lambda p: p.at)
    tokens = max(text_turn.tokens)
    latency = [
        ("Step, p50", text_turn.latency_ms["step"].p50, STEP_P50_MS, "ms"),
        (
            f"Text turn of {tokens} tokens, p50",
            text_turn.latency_ms["turn"].p50,
            TEXT_TURN_P50_MS,
            "ms",
        ),
    ]
    if three_senses is not None:
        p50_ms = three_senses.latency_ms["turn"].p50
        latency.append(
            ("Turn with text, sound and faces, p50", p50_ms, THREE_SENSE_TURN_P50_MS, "ms")
        )
    rest = [
        (
            f"Turn {judged.at:,} against turn {first.at:,}, median",
            100 * (judged.ratio - 1),
            GROWTH_P50_PERCENT,
            "%",
        ),
        (
            f"Memory growth to turn {last.at:,}",
            _grown_bytes(growth) / 2**10,
            MEMORY_GROWTH_KIB,
            "KiB",
        ),
        (
            f"Memory growth to turn {sizes[-1].at:,}, every turn of another size",
            _grown_bytes(sizes) / 2**20,
            SIZES_GROWTH_MIB,
            "MiB",
        ),
        ("import dcet.runtime", cold_start.import_s, IMPORT_S, "s"),
        (
            "Open and first estimate",
            cold_start.open_and_first_estimate_s,
            FIRST_ESTIMATE_S,
            "s",
        ),
    ]
    return tuple(
        Promise(name=name, value=value, limit=limit, unit=unit)
        for name, value, limit, unit in (*latency, *rest)
    )


def _grown_bytes(points: Sequence[MemoryPoint]) -> int:
    return max(0, points[-1].rss_bytes - points[0].rss_bytes)
