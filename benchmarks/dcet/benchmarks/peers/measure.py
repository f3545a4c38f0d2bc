"""A turn of three modalities: the bundle's, compared with three large encoders in two stacks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.peers.models import Peer, build_peers
from dcet.benchmarks.peers.openvino import openvino_peers
from dcet.benchmarks.peers.pinning import pinned
from dcet.benchmarks.progress import Track
from dcet.benchmarks.raw_turn import (
    AUDIO_S,
    FACE_SIDE,
    FACES,
    SPEAKERS,
    RawTurn,
    require_three_senses,
    three_sense_turn,
)
from dcet.benchmarks.stats import Summary, summarise
from dcet.runtime import Bundle, Conversation

PEERS_SCHEMA = "dcet-bench/peers/3"
WARM_UP_ROUNDS = 3
SHARE_S = 0.5  # of a round, for each: turns in a row, or caches would hold only what ran before
REST_S = 0.02  # for the threads of whoever ran last to go to sleep

# What runs the peers.
STACKS: Mapping[str, str] = {
    "torch": "eager, FP32",
    "openvino": "INT8 by NNCF's post-training quantisation",
}

# Our stages by the encoder they are compared with, and by all of these; the last has no peer.
STAGES: Mapping[str, tuple[str, ...]] = {
    "text": ("tokenize", "text"),
    "audio": ("audio",),
    "face": ("face",),
    "encoders": ("tokenize", "text", "audio", "face"),
    "step": ("step",),
}

Turn = Mapping[str, float]  # milliseconds by stage
Round = Mapping[str, list[Turn]]  # by who ran: a stack, dcet, or the other bundle (versus)
Runs = Mapping[str, Callable[[], Turn]]  # by who runs


@dataclass(frozen=True, kw_only=True)
class PeerSettings:
    engine: str = "auto"
    threads: int = 2
    repeats: int = 20
    audio_s: float = AUDIO_S


@dataclass(frozen=True, kw_only=True)
class PeerTurn:
    """The turn that both are given."""

    tokens: int
    audio_s: float
    faces: int
    face_side: int  # pixels of a crop, before it is scaled


@dataclass(frozen=True, kw_only=True)
class PeerModel:
    name: str
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Versus:
    """Another bundle of ours."""

    bundle: BundleIdentity
    engine: EngineIdentity


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of a turn. In `total`, the peers' is their sum and ours is the whole call."""

    name: str
    peer: PeerModel | None
    peer_ms: Mapping[str, Summary]  # by stack; empty where ours has no peer
    dcet_ms: Summary
    versus_ms: Summary | None  # of the other bundle, where there is one

    @property
    def ratio(self) -> dict[str, float]:
        """The peer's median divided by ours, in each stack."""
        return {stack: latency.p50 / self.dcet_ms.p50 for stack, latency in self.peer_ms.items()}

    @property
    def versus_ratio(self) -> float | None:
        """The other bundle's median divided by ours."""
        return None if self.versus_ms is None else self.versus_ms.p50 / self.dcet_ms.p50


@dataclass(frozen=True, kw_only=True)
class PeersReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    versus: Versus | None
    machine: Machine
    settings: PeerSettings
    stacks: Mapping[str, str]  # what runs the peers
    turn: PeerTurn
    stages: tuple[Stage, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it, with the ratios."""
        stages = [
            {**asdict(stage), "ratio": stage.ratio, "versus_ratio": stage.versus_ratio}
            for stage in self.stages
        ]
        return {"schema": PEERS_SCHEMA, **asdict(self), "stages": stages}


def measure_peers(
    bundle: Bundle, settings: PeerSettings, track: Track, *, versus: Bundle | None = None
) -> PeersReport:
    """Measure rounds of half a second of turns by each, in one process, on the same cores and
    threads.

    versus: another bundle of ours, such as the same model in FP32

    Raises ConfigError for a bundle without all three encoders, MissingExtra without torch, openvino
    or nncf.
    """
    for ours in (bundle, versus):
        if ours is not None:
            require_three_senses(ours)
    machine = read_machine()
    turn = three_sense_turn(bundle, audio_s=settings.audio_s)
    with pinned(settings.threads):
        conversations = {"dcet": Conversation(bundle, settings.engine)}
        if versus is not None:
            conversations["versus"] = Conversation(versus, settings.engine)
        peers = build_peers(turn, settings.threads)
        in_openvino = openvino_peers(peers, settings.threads, track)
        in_torch = {stage: peer.run for stage, peer in peers.items()}
        runs: Runs = {
            **{who: partial(_our_turn, each, turn) for who, each in conversations.items()},
            "torch": partial(_their_turn, in_torch),
            "openvino": partial(_their_turn, in_openvino),
        }
        for _ in track(range(WARM_UP_ROUNDS), "warm-up"):
            _round(runs)
        # Once more, now that every engine has all of its threads.
        with pinned(settings.threads):
            rounds = [_round(runs) for _ in track(range(settings.repeats), "rounds")]
    return PeersReport(
        created=now(),
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, settings.engine),
        versus=None if versus is None else _identify(versus, settings.engine),
        machine=machine,
        settings=settings,
        stacks=STACKS,
        turn=PeerTurn(
            tokens=turn.tokens, audio_s=settings.audio_s, faces=FACES, face_side=FACE_SIDE
        ),
        stages=tuple(_stage(name, peers.get(name), rounds) for name in (*STAGES, "total")),
    )


def _identify(versus: Bundle, engine: str) -> Versus:
    return Versus(bundle=identify_bundle(versus), engine=identify_engine(versus, engine))


def _stage(name: str, peer: Peer | None, rounds: Sequence[Round]) -> Stage:
    return Stage(
        name=name,
        peer=PeerModel(name=peer.recipe.name, parameters=peer.parameters) if peer else None,
        peer_ms={
            stack: summarise(_taken_ms(rounds, stack, name))
            for stack in STACKS
            if name in rounds[0][stack][0]
        },
        dcet_ms=summarise(_taken_ms(rounds, "dcet", name)),
        versus_ms=summarise(_taken_ms(rounds, "versus", name)) if "versus" in rounds[0] else None,
    )


def _taken_ms(rounds: Sequence[Round], who: str, stage: str) -> list[float]:
    return [turn[stage] for row in rounds for turn in row[who]]


def _round(runs: Runs) -> Round:
    """Run as many turns by each as are begun in its share of time."""
    taken: dict[str, list[Turn]] = {}
    for who, run in runs.items():
        time.sleep(REST_S)
        taken[who] = []
        until_s = time.perf_counter() + SHARE_S
        while time.perf_counter() < until_s:
            taken[who].append(run())
    return taken


def _our_turn(conversation: Conversation, turn: RawTurn) -> Turn:
    speaker = SPEAKERS[conversation.turns % len(SPEAKERS)]
    started = time.perf_counter()
    estimate = conversation.turn(speaker, turn.text, turn.audio, turn.faces)
    total_ms = (time.perf_counter() - started) * 1000
    stages = {
        name: sum(estimate.latency_ms[part] for part in parts) for name, parts in STAGES.items()
    }
    return {**stages, "total": total_ms}


def _their_turn(stages: Mapping[str, Callable[[], object]]) -> Turn:
    taken = {}
    for name, run in stages.items():
        started = time.perf_counter()
        run()
        taken[name] = (time.perf_counter() - started) * 1000
    return {**taken, "encoders": sum(taken.values()), "total": sum(taken.values())}
