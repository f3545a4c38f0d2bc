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
SIZES_GROWTH_MIB = 64.0  # what an engine may keep for the shapes that it was given
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
    promises = [
        Promise(
            name="Step, p50",
            value=text_turn.latency_ms["step"].p50,
            limit=STEP_P50_MS,
            unit="ms",
        ),
        Promise(
            name=f"Text turn of {max(text_turn.tokens)} tokens, p50",
            value=text_turn.latency_ms["turn"].p50,
            limit=TEXT_TURN_P50_MS,
            unit="ms",
        ),
        Promise(
            name=f"Turn {judged.at:,} against turn {first.at:,}, median",
            value=100 * (judged.ratio - 1),
            limit=GROWTH_P50_PERCENT,
            unit="%",
        ),
        Promise(
            name=f"Memory growth to turn {last.at:,}",
            value=max(0, last.rss_bytes - first.rss_bytes) / 1024,
            limit=MEMORY_GROWTH_KIB,
            unit="KiB",
        ),
        Promise(
            name=f"Memory growth to turn {sizes[-1].at:,}, every turn of another size",
            value=max(0, sizes[-1].rss_bytes - sizes[0].rss_bytes) / 2**20,
            limit=SIZES_GROWTH_MIB,
            unit="MiB",
        ),
        Promise(
            name="import dcet.runtime",
            value=cold_start.import_s,
            limit=IMPORT_S,
            unit="s",
        ),
        Promise(
            name="Open and first estimate",
            value=cold_start.open_and_first_estimate_s,
            limit=FIRST_ESTIMATE_S,
            unit="s",
        ),
    ]
    if three_senses is not None:
        of_all_senses = Promise(
            name="Turn with text, sound and faces, p50",
            value=three_senses.latency_ms["turn"].p50,
            limit=THREE_SENSE_TURN_P50_MS,
            unit="ms",
        )
        promises.insert(2, of_all_senses)
    return tuple(promises)
