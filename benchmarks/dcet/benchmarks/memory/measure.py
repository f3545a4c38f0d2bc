"""The memory report: the same turns with each part of the memory switched off before every turn."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.memory.paired import Lost, lost, pieces
from dcet.benchmarks.progress import Track
from dcet.data.bootstrap import confusions, scores
from dcet.data.playing import play
from dcet.data.streams import under_one_name
from dcet.data.turns import Turns
from dcet.runtime import Bundle
from dcet.runtime.arrays import Floats
from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.engines.engine import Arrays, Engine

MEMORY_SCHEMA = "dcet-bench/memory/1"
EVERYTHING, BANK, ONE_NAME = "everything", "the long-term bank", "names"


@dataclass(frozen=True, kw_only=True)
class MemorySettings:
    engine: str = "auto"
    bank_bytes: int = 0  # of a long-term bank, which is then taken away like the rest
    seed: int = 0  # of the bootstrap


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A part of the memory that was taken away."""

    name: str
    states: tuple[str, ...]  # that were zeros before every turn
    weighted_f1: float
    uar: float
    lost: Mapping[str, Lost]  # of `weighted_f1` and `uar`, by having lost the part
    changed: float  # share of the turns with another most probable emotion


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One set of conversations, with the whole memory and with parts of it."""

    name: str
    sha256: str
    turns: int
    conversations: int
    speakers: float  # of a conversation, mean
    weighted_f1: float
    uar: float
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    machine: Machine
    settings: MemorySettings
    streams: tuple[Stream, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {"schema": MEMORY_SCHEMA, **asdict(self)}


class Forgetful(Engine):
    """An engine that is fed zeros for some states, as before a conversation's first turn.

    known: what encoders made of their inputs; they are asked once for what is played many times
    """

    def __init__(
        self, engine: Engine, states: Sequence[str], known: dict[bytes, dict[str, Floats]]
    ) -> None:
        self.name, self.reason = engine.name, engine.reason
        self._engine, self._states, self._known = engine, frozenset(states), known

    def run(self, graph: str, inputs: Arrays) -> dict[str, Floats]:
        """Run the graph without what is to be forgotten."""
        fed = {
            name: np.zeros_like(array) if name in self._states else array
            for name, array in inputs.items()
        }
        if graph == "step":
            return self._engine.run(graph, fed)
        digest = hashlib.sha256(graph.encode())
        for name, array in fed.items():
            digest.update(f"{name} {array.shape}".encode())
            digest.update(array.tobytes())
        key = digest.digest()
        if key not in self._known:
            self._known[key] = self._engine.run(graph, fed)
        return {name: array.copy() for name, array in self._known[key].items()}


def measure_memory(
    bundle: Bundle, streams: Sequence[Turns], settings: MemorySettings, track: Track
) -> MemoryReport:
    """Play every stream with the whole memory, and again without each part of it.

    Raises ConfigError, EngineError or MissingExtra.
    """
    machine = read_machine()
    return MemoryReport(
        created=now(),
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, settings.engine),
        machine=machine,
        settings=settings,
        streams=tuple(_measure(bundle, stream, settings, track) for stream in streams),
    )


def parts(state: Sequence[StatePair]) -> dict[str, tuple[str, ...]]:
    """Name what can be taken away: each state, with those that say what is in it, such as
    `speaker_ring` with `speaker_ring_mask`; and if there are several, all of one owner, and all."""
    names = [pair.input for pair in state]
    found = {
        name: tuple(other for other in names if other == name or other.startswith(f"{name}_"))
        for name in names
        if not any(name.startswith(f"{other}_") for other in names)
    }
    for owner in ("speaker", "scene"):
        theirs = tuple(pair.input for pair in state if pair.per == owner)
        if theirs and theirs not in found.values():
            found[f"all of the {owner}"] = theirs
    return {**found, EVERYTHING: tuple(names)}


def _measure(bundle: Bundle, stream: Turns, settings: MemorySettings, track: Track) -> Stream:
    engine, bank_bytes = bundle.engine(settings.engine), settings.bank_bytes
    known: dict[bytes, dict[str, Floats]] = {}
    conversations = stream.conversations.values()
    piece = pieces([len(of) for of in conversations])

    def answers(turns: Turns, off: Sequence[str], bank_bytes: int) -> NDArray[np.int64]:
        probabilities = play(bundle, turns, Forgetful(engine, off, known), bank_bytes=bank_bytes)
        found: NDArray[np.int64] = probabilities.argmax(axis=1)
        return found

    def count(answered: NDArray[np.int64]) -> NDArray[np.int64]:
        return confusions(stream.labels, answered, piece)

    whole = answers(stream, (), bank_bytes)
    conditions = []
    for name, off in track(_conditions(bundle, stream, bank_bytes), stream.name):
        turns = under_one_name(stream) if name == ONE_NAME else stream
        without = answers(turns, off, 0 if name in (BANK, EVERYTHING) else bank_bytes)
        figures = scores(count(without).sum(axis=0))
        conditions.append(
            Condition(
                name=name,
                states=off,
                weighted_f1=float(figures.weighted_f1),
                uar=float(figures.uar),
                lost=lost(count(whole), count(without), settings.seed),
                changed=float((whole != without).mean()),
            )
        )
    figures = scores(count(whole).sum(axis=0))
    return Stream(
        name=stream.name,
        sha256=stream.sha256,
        turns=len(stream),
        conversations=len(conversations),
        speakers=float(np.mean([len({turn.speaker for turn in of}) for of in conversations])),
        weighted_f1=float(figures.weighted_f1),
        uar=float(figures.uar),
        conditions=tuple(conditions),
    )


def _conditions(
    bundle: Bundle, stream: Turns, bank_bytes: int
) -> list[tuple[str, tuple[str, ...]]]:
    """Name what is taken away, with the states that are then zeros. A state of an encoder of
    which the stream has no use is not among them."""
    audio = bundle.manifest.modalities["audio"].encoder
    unused = {audio} if all(turn.audio is None for turn in stream) else set()
    states = [pair for pair in bundle.manifest.state if pair.graph not in unused]
    bank: dict[str, tuple[str, ...]] = {BANK: ()} if bank_bytes else {}
    return list({**parts(states), **bank, ONE_NAME: ()}.items())
