"""One turn with three senses: the bundle's, beside that of three large encoders."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.loops import SPEAKERS
from dcet.benchmarks.machine import Machine, read_machine
from dcet.benchmarks.peer_models import Peer, build_peers
from dcet.benchmarks.pinning import pinned
from dcet.benchmarks.progress import Track
from dcet.benchmarks.raw_turn import (
    AUDIO_S,
    FACE_SIDE,
    FACES,
    RawTurn,
    require_three_senses,
    three_sense_turn,
)
from dcet.benchmarks.stats import Summary, summarise
from dcet.runtime import Bundle, Conversation

PEERS_SCHEMA = "dcet-bench/peers/1"
WARM_UP_ROUNDS = 3
REST_S = 0.02  # for the threads of whoever ran last to go to sleep

# Our stages by the encoder they are compared with; the last has none.
STAGES: Mapping[str, tuple[str, ...]] = {
    "text": ("tokenize", "text"),
    "audio": ("audio",),
    "face": ("face",),
    "step": ("step",),
}


@dataclass(frozen=True, kw_only=True)
class PeerSettings:
    engine: str = "auto"
    threads: int = 2
    repeats: int = 20
    audio_s: float = AUDIO_S


@dataclass(frozen=True, kw_only=True)
class PeerTurn:
    """What both are given."""

    tokens: int
    audio_s: float
    faces: int
    face_side: int  # pixels of a crop, before anybody scales it


@dataclass(frozen=True, kw_only=True)
class PeerModel:
    name: str
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of a turn. In `total`, the peers' is their sum and ours is the whole call."""

    name: str
    peer: PeerModel | None
    peer_ms: Summary | None
    dcet_ms: Summary

    @property
    def ratio(self) -> float | None:
        """How many times longer the peer takes, by the medians."""
        return self.peer_ms.p50 / self.dcet_ms.p50 if self.peer_ms else None


@dataclass(frozen=True, kw_only=True)
class PeersReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    machine: Machine
    settings: PeerSettings
    peers: str  # what runs them
    turn: PeerTurn
    stages: tuple[Stage, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, with the ratios."""
        stages = [{**asdict(stage), "ratio": stage.ratio} for stage in self.stages]
        return {"schema": PEERS_SCHEMA, **asdict(self), "stages": stages}


def measure_peers(bundle: Bundle, settings: PeerSettings, track: Track) -> PeersReport:
    """Rounds of one turn by each, in one process, on the same cores and as many threads.

    Raises ConfigError for a bundle without all three encoders, MissingExtra without torch.
    """
    require_three_senses(bundle)
    machine = read_machine()
    turn = three_sense_turn(bundle, audio_s=settings.audio_s)
    with pinned(settings.threads):
        conversation = Conversation(bundle, settings.engine)
        peers = build_peers(turn, settings.threads)
        for _ in track(range(WARM_UP_ROUNDS), "warm-up"):
            _round(conversation, turn, peers)
        # Once more, now that every engine has all of its threads.
        with pinned(settings.threads):
            ours, theirs = zip(
                *(
                    _round(conversation, turn, peers)
                    for _ in track(range(settings.repeats), "rounds")
                ),
                strict=True,
            )
    return PeersReport(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, settings.engine),
        machine=machine,
        settings=settings,
        peers="torch eager, FP32, random weights",
        turn=PeerTurn(
            tokens=turn.tokens, audio_s=settings.audio_s, faces=FACES, face_side=FACE_SIDE
        ),
        stages=tuple(
            Stage(
                name=name,
                peer=_model(peers.get(name)),
                peer_ms=summarise([row[name] for row in theirs]) if name in theirs[0] else None,
                dcet_ms=summarise([row[name] for row in ours]),
            )
            for name in (*STAGES, "total")
        ),
    )


def _round(
    conversation: Conversation, turn: RawTurn, peers: Mapping[str, Peer]
) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of our stages, and of the peers."""
    time.sleep(REST_S)
    speaker = SPEAKERS[conversation.turns % len(SPEAKERS)]
    started = time.perf_counter()
    estimate = conversation.turn(speaker, turn.text, turn.audio, turn.faces)
    total_ms = (time.perf_counter() - started) * 1000
    ours = {
        name: sum(estimate.latency_ms[part] for part in parts) for name, parts in STAGES.items()
    }
    theirs = {}
    for name, peer in peers.items():
        time.sleep(REST_S)
        started = time.perf_counter()
        peer.run()
        theirs[name] = (time.perf_counter() - started) * 1000
    return {**ours, "total": total_ms}, {**theirs, "total": sum(theirs.values())}


def _model(peer: Peer | None) -> PeerModel | None:
    return None if peer is None else PeerModel(name=peer.name, parameters=peer.parameters)
