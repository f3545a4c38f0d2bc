"""The latency report of one bundle on this machine."""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.latency.cold_start import ColdStart, measure_cold_start
from dcet.benchmarks.latency.growth import (
    GrowthPoint,
    MemoryPoint,
    growth_over_speakers,
    growth_over_turns,
    memory_over_sizes,
)
from dcet.benchmarks.latency.loops import Loop, LoopPlan, WarmUp, measure_loop, warm_up
from dcet.benchmarks.latency.process_memory import peak_rss_bytes
from dcet.benchmarks.latency.promises import Promise, check_promises
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.progress import Track
from dcet.benchmarks.raw_turn import AUDIO_S, FACES, lacks, text_turn, three_sense_turn
from dcet.benchmarks.texts import TEXTS, count_tokens
from dcet.runtime import Bundle, Conversation

LATENCY_SCHEMA = "dcet-bench/latency/1"
PACED_INTERVAL_MS = 100.0
IDLE_INTERVAL_MS = 1000.0


@dataclass(frozen=True, kw_only=True)
class LatencySettings:
    """The extent of a measurement. Turns with pauses take long, so fewer of those are taken."""

    engine: str = "auto"
    turns: int = 1000  # of each closed loop, and rounds of each growth measurement
    growth_turns: int = 100_000
    speakers: int = 1000
    size_turns: int = 2000  # each of a size of its own
    seed: int = 0

    @property
    def paced_turns(self) -> int:
        return min(100, max(5, self.turns // 10))

    @property
    def idle_turns(self) -> int:
        return min(10, max(2, self.turns // 100))

    @property
    def cold_starts(self) -> int:
        return min(5, max(3, self.turns // 200))


@dataclass(frozen=True, kw_only=True)
class LatencyReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    machine: Machine
    settings: LatencySettings
    warm_up: WarmUp
    mixed: Loop  # everyday texts, closed loop
    fixed: Loop  # one text of 32 tokens, closed loop
    three_senses: Loop | None  # the same text with sound and faces; None: no encoders for them
    paced: tuple[Loop, ...]  # the same text with idle time between turns
    growth_over_turns: tuple[GrowthPoint, ...]
    growth_over_speakers: tuple[GrowthPoint, ...]
    memory_over_sizes: tuple[MemoryPoint, ...]  # raw turns, of another size each
    cold_start: ColdStart
    peak_rss_bytes: int | None  # of the measuring process, with every conversation it held
    promises: tuple[Promise, ...]
    accuracy: Mapping[str, Any]  # as the bundle's manifest has it

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it, with the verdicts."""
        promises = [{**asdict(promise), "kept": promise.kept} for promise in self.promises]
        return {"schema": LATENCY_SCHEMA, **asdict(self), "promises": promises}


def measure_latency(bundle: Bundle, settings: LatencySettings, track: Track) -> LatencyReport:
    machine = read_machine()  # first, so that the load is that of others
    engine = identify_engine(bundle, settings.engine)
    cold_start = measure_cold_start(bundle.path, settings.engine, settings.cold_starts, track)
    mixed_plan, fixed_plan, *paced_plans = _plans(bundle, settings)
    conversation = Conversation(bundle, settings.engine)
    warmed = warm_up(conversation, fixed_plan, track)
    mixed = measure_loop(conversation, mixed_plan, track)
    fixed = measure_loop(conversation, fixed_plan, track)
    three_senses = None if lacks(bundle) else _three_senses(conversation, settings, track)
    over_turns = growth_over_turns(
        bundle,
        settings.engine,
        last=settings.growth_turns,
        rounds=settings.turns,
        seed=settings.seed,
        track=track,
    )
    over_speakers = growth_over_speakers(
        bundle,
        settings.engine,
        last=settings.speakers,
        rounds=settings.turns,
        seed=settings.seed,
        track=track,
    )
    over_sizes = memory_over_sizes(
        bundle, settings.engine, last=settings.size_turns, seed=settings.seed, track=track
    )
    return LatencyReport(
        created=now(),
        bundle=identify_bundle(bundle),
        engine=engine,
        machine=machine,
        settings=settings,
        warm_up=warmed,
        mixed=mixed,
        fixed=fixed,
        three_senses=three_senses,
        paced=tuple(measure_loop(conversation, plan, track) for plan in paced_plans),
        growth_over_turns=over_turns,
        growth_over_speakers=over_speakers,
        memory_over_sizes=over_sizes,
        cold_start=cold_start,
        peak_rss_bytes=peak_rss_bytes(),
        promises=check_promises(fixed, three_senses, over_turns, over_sizes, cold_start),
        accuracy=bundle.manifest.accuracy,
    )


def _three_senses(conversation: Conversation, settings: LatencySettings, track: Track) -> Loop:
    """Measure turns back to back after a warm-up of their own: no text turn ran these graphs."""
    turn = three_sense_turn(conversation.bundle, seed=settings.seed)
    plan = LoopPlan(
        name=f"{turn.tokens} tokens, {AUDIO_S:g} s of sound and {FACES} faces, back to back",
        texts=[turn.text],
        tokens=(turn.tokens,),
        turns=settings.turns,
        audio=turn.audio,
        faces=turn.faces,
    )
    warm_up(conversation, plan, track)
    return measure_loop(conversation, plan, track)


def _plans(bundle: Bundle, settings: LatencySettings) -> list[LoopPlan]:
    """Plan mixed texts and the fixed text back to back, then the fixed text at two paces."""
    tokenizer = bundle.tokenizer
    mixed = random.Random(settings.seed).sample(TEXTS, len(TEXTS))
    said = text_turn(bundle)
    tokens = said.tokens

    def fixed(name: str, turns: int, interval_ms: float) -> LoopPlan:
        return LoopPlan(
            name=name, texts=[said.text], tokens=(tokens,), turns=turns, interval_ms=interval_ms
        )

    return [
        LoopPlan(
            name="mixed texts, back to back",
            texts=mixed,
            tokens=tuple(count_tokens(tokenizer, text) for text in mixed),
            turns=settings.turns,
        ),
        fixed(f"{tokens} tokens, back to back", settings.turns, 0.0),
        fixed(f"{tokens} tokens, every 100 ms", settings.paced_turns, PACED_INTERVAL_MS),
        fixed(f"{tokens} tokens, every second", settings.idle_turns, IDLE_INTERVAL_MS),
    ]
