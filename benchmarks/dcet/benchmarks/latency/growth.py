"""The cost of a turn when the conversation is long, has many speakers, or turns of many sizes.

Conversations of every size live side by side and take turns in random order, so that whatever
else the machine does meets all of them alike. Text features are given, not encoded: what is timed
is everything a turn does with the memory. Memory over sizes is measured with raw turns: engines
keep what they prepared for each shape that an encoder was given.
"""

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dcet.benchmarks.latency.process_memory import rss_bytes
from dcet.benchmarks.progress import Track
from dcet.benchmarks.raw_turn import FACES, SPEAKERS, lacks
from dcet.benchmarks.stats import Summary, summarise
from dcet.benchmarks.texts import TEXTS
from dcet.runtime import Bundle, Conversation, Features
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.synthetic import probes

FEATURE_VECTORS = 64

FIRST_SIZE_MARK = 20  # turns of different sizes after which memory is first looked at
SMALLEST_SIDE, LARGEST_SIDE = 48, 300  # pixels of a face's crop
SHORTEST_SAMPLES, LONGEST_SAMPLES = SAMPLE_RATE_HZ // 5, 12 * SAMPLE_RATE_HZ


@dataclass(frozen=True, kw_only=True)
class MemoryPoint:
    """The memory held by the process when a conversation had `at` turns or speakers."""

    at: int
    rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class GrowthPoint(MemoryPoint):
    """A turn with given text features, in a conversation `at` turns old or of `at` speakers."""

    latency_ms: Summary
    ratio: float  # to the first point's latency in the same round; median over the rounds


def growth_over_turns(
    bundle: Bundle, engine: str, *, last: int, rounds: int, seed: int, track: Track
) -> tuple[GrowthPoint, ...]:
    """Measure a turn at turn 10, 100, … up to `last`, and the memory held by then."""
    rng = np.random.default_rng(seed)
    features = text_features(bundle, rng)
    marks = powers_of_ten(10, last)
    oldest = AgedConversation(bundle, engine, last, features)
    memory = {mark: oldest.grow_to(mark, track) for mark in marks}
    aged = [AgedConversation(bundle, engine, mark, features) for mark in marks[:-1]] + [oldest]
    samples: dict[int, list[float]] = {mark: [] for mark in marks}
    for _ in track(range(rounds), "growth over turns"):
        for conversation in aged:
            conversation.be_of_age()
        for index in rng.permutation(len(aged)):
            samples[marks[index]].append(aged[index].timed_turn_ms())
    return _points(samples, memory)


def growth_over_speakers(
    bundle: Bundle, engine: str, *, last: int, rounds: int, seed: int, track: Track
) -> tuple[GrowthPoint, ...]:
    """Measure a turn among 1, 10, … up to `last` speakers, all of them known."""
    rng = np.random.default_rng(seed)
    features = text_features(bundle, rng)
    marks = powers_of_ten(1, last)
    conversations, memory = [], {}
    for mark in marks:
        conversation = Conversation(bundle, engine, max_speakers=mark)
        for number in track(range(mark), f"up to speaker {mark:,}"):
            conversation.turn(f"speaker {number}", features[number % len(features)])
        conversations.append(conversation)
        memory[mark] = _settled_rss_bytes()
    samples: dict[int, list[float]] = {mark: [] for mark in marks}
    for turn in track(range(rounds), "growth over speakers"):
        for index in rng.permutation(len(marks)):
            speaker = f"speaker {turn % marks[index]}"
            start_ns = time.perf_counter_ns()
            conversations[index].turn(speaker, features[turn % len(features)])
            samples[marks[index]].append((time.perf_counter_ns() - start_ns) / 1e6)
    return _points(samples, memory)


def memory_over_sizes(
    bundle: Bundle, engine: str, *, last: int, seed: int, track: Track
) -> tuple[MemoryPoint, ...]:
    """Measure the memory held at turn 20, 200, … up to `last`, every turn of a size of its own.

    Each has 1 to 8 faces of one size from 48 to 300 pixels along either side, 0.2 to 12 s of sound,
    and a text of one sentence or of as many tokens as the model takes; of a sense that the bundle
    cannot take, nothing.
    """
    rng = np.random.default_rng(seed)
    sizes = TurnSizes(bundle, rng)
    conversation = Conversation(bundle, engine)
    points = []
    for mark in powers_of_ten(FIRST_SIZE_MARK, last):
        for _ in track(range(mark - conversation.turns), f"sizes, up to turn {mark:,}"):
            speaker = SPEAKERS[conversation.turns % len(SPEAKERS)]
            conversation.turn(speaker, *sizes.next_turn())
        points.append(MemoryPoint(at=mark, rss_bytes=_settled_rss_bytes()))
    return tuple(points)


class TurnSizes:
    """Raw turns of random sizes, cut out of the largest one."""

    def __init__(self, bundle: Bundle, rng: Generator) -> None:
        self._rng = rng
        self._words = [word for text in TEXTS for word in text.split()]
        self._most_words = bundle.manifest.tokenizer.max_tokens
        missing = lacks(bundle)
        self._sound = (
            None if "audio" in missing else probes.speech(LONGEST_SAMPLES / SAMPLE_RATE_HZ)
        )
        side = LARGEST_SIDE
        self._faces = None if "face" in missing else probes.faces(FACES, side, side, seed=0)

    def next_turn(
        self,
    ) -> tuple[str, NDArray[np.float32] | None, list[NDArray[np.uint8]] | None]:
        """Draw the text, sound and faces of a turn, as `Conversation.turn` takes them."""
        rng = self._rng
        more = rng.choice(self._words, rng.integers(self._most_words))
        text = " ".join([rng.choice(TEXTS), *more])
        samples = rng.integers(SHORTEST_SAMPLES, LONGEST_SAMPLES + 1)
        height, width = rng.integers(SMALLEST_SIDE, LARGEST_SIDE + 1, 2)
        faces = rng.integers(1, FACES + 1)
        return (
            text,
            None if self._sound is None else self._sound[:samples],
            None if self._faces is None else list(self._faces[:faces, :height, :width]),
        )


class AgedConversation:
    """A conversation that is kept about `age` turns old: from `age` to one and a half times it."""

    def __init__(self, bundle: Bundle, engine: str, age: int, features: Sequence[Features]) -> None:
        self.age = age
        self._conversation = Conversation(bundle, engine)
        self._features = features

    def grow_to(self, turns: int, track: Track) -> int:
        """Play until the conversation has seen `turns`; returns the memory held then, in bytes."""
        for _ in track(range(turns - self._conversation.turns), f"up to turn {turns:,}"):
            self._turn()
        return _settled_rss_bytes()

    def be_of_age(self) -> None:
        """Make the next turn the one at `age`, or a later one that is not yet too late."""
        if self._conversation.turns >= 1.5 * self.age:
            self._conversation.reset()
        while self._conversation.turns < self.age - 1:
            self._turn()

    def timed_turn_ms(self) -> float:
        start_ns = time.perf_counter_ns()
        self._turn()
        return (time.perf_counter_ns() - start_ns) / 1e6

    def _turn(self) -> None:
        turn = self._conversation.turns
        self._conversation.turn(
            SPEAKERS[turn % len(SPEAKERS)], self._features[turn % len(self._features)]
        )


def _points(samples: dict[int, list[float]], memory: dict[int, int]) -> tuple[GrowthPoint, ...]:
    """Summarise each size. Ratios are taken within a round, so that load from elsewhere cancels."""
    first = np.array(next(iter(samples.values())))
    return tuple(
        GrowthPoint(
            at=mark,
            latency_ms=summarise(latencies),
            ratio=float(np.median(np.array(latencies) / first)),
            rss_bytes=memory[mark],
        )
        for mark, latencies in samples.items()
    )


def text_features(bundle: Bundle, rng: Generator) -> list[Features]:
    """Draw random vectors of unit length to stand for encoded texts."""
    width = bundle.manifest.modalities["text"].width
    vectors = rng.standard_normal((FEATURE_VECTORS, width), dtype=np.float32)
    return [Features(vector / np.linalg.norm(vector)) for vector in vectors]


def powers_of_ten(first: int, last: int) -> list[int]:
    """Return `first`, ten times that, … and `last`."""
    marks = []
    while first < last:
        marks.append(first)
        first *= 10
    return [*marks, last]


def _settled_rss_bytes() -> int:
    gc.collect()
    return rss_bytes()
