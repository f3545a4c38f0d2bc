"""Sounds without speech: there is no emotion to name in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dcet.benchmarks.progress import Track
from dcet.benchmarks.room.recordings import Found, Recording
from dcet.benchmarks.room.replies import Labels, Listener, Reply, count_labels
from dcet.benchmarks.room.sounds import MADE
from dcet.runtime.arrays import SAMPLE_RATE_HZ

CUT_S = 3.0
MOST_CUTS = 4  # of a file, evenly spread
DRAWS = 5  # of each sound that is made


@dataclass(frozen=True, kw_only=True)
class Noise:
    """All sounds of one kind that was made, or of one folder."""

    sounds: str
    is_recorded: bool
    labels: Labels
    named: tuple[str, ...]  # the files in which an emotion was named; empty for what was made


def measure_noises(
    listener: Listener, found: Found, rng: Generator, track: Track
) -> tuple[Noise, ...]:
    """Raises UnusableMedia or MissingExtra."""
    rows = []
    for name, make in track(list(MADE.items()), "sounds that are made"):
        waves = (make(rng).astype(np.float32) for _ in range(DRAWS))
        replies = [listener.hear(wave, SAMPLE_RATE_HZ) for wave in waves]
        rows.append(Noise(sounds=name, is_recorded=False, labels=count_labels(replies), named=()))
    folders: dict[str, list[tuple[str, Reply]]] = {}
    for path in track(found.no_speech, "noises"):
        recording = found.read(path)
        heard = [(recording.name, reply) for reply in _hear(listener, recording)]
        folders.setdefault(found.name(path.parent), []).extend(heard)
    return (*rows, *(_recorded(folder, heard) for folder, heard in folders.items()))


def share_named(rows: Iterable[Noise]) -> float:
    """Return the share of all replies of these rows in which an emotion is named."""
    counts = [(row.labels.named * row.labels.replies, row.labels.replies) for row in rows]
    named, replies = np.sum(counts, axis=0)
    return float(named / replies)


def _recorded(folder: str, heard: Sequence[tuple[str, Reply]]) -> Noise:
    return Noise(
        sounds=folder,
        is_recorded=True,
        labels=count_labels([reply for _, reply in heard]),
        named=tuple(dict.fromkeys(name for name, reply in heard if reply.is_named)),
    )


def _hear(listener: Listener, recording: Recording) -> list[Reply]:
    count = min(MOST_CUTS, max(1, int(recording.seconds // CUT_S)))
    starts_s = np.linspace(0, max(0.0, recording.seconds - CUT_S), count)
    return [
        listener.hear(recording.cut(float(start_s), CUT_S), recording.rate_hz)
        for start_s in starts_s
    ]
