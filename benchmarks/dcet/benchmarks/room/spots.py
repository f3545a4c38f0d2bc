"""Where somebody speaks in a recording, and places drawn from that."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dcet.benchmarks.room.recordings import Recording

HOP_S = 0.032
SPEECH_BELOW_DB = 25.0  # the loudest hops of a recording: what is softer is a pause
LOUDEST = 95  # percentile of the hops
SPOKEN_SHARE = 0.5  # of a stretch that begins at a spot


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    recording: Recording
    start_s: float


def spoken_hops(recording: Recording) -> NDArray[np.bool_]:
    """Tell for each hop of 32 ms whether somebody speaks: by the turns of a .rttm or, without one,
    by the level."""
    hop = round(HOP_S * recording.rate_hz)
    count = len(recording.samples) // hop
    if recording.turns:
        middles_s = (np.arange(count) + 0.5) * HOP_S
        spoken = np.zeros(count, bool)
        for turn in recording.turns:
            spoken |= (middles_s >= turn.start_s) & (middles_s < turn.end_s)
        return spoken
    if count == 0:
        return np.zeros(0, bool)
    samples = recording.samples[: count * hop].reshape(count, hop, -1).mean(axis=2)
    power = np.square(samples - samples.mean(), dtype=np.float64).mean(axis=1)
    return np.asarray(power > np.percentile(power, LOUDEST) * 10 ** (-SPEECH_BELOW_DB / 10))


def starts_s(recording: Recording, seconds: float) -> NDArray[np.float64]:
    """Return where somebody begins to speak, or goes on, for at least half of so many seconds that
    the recording still has."""
    spoken = spoken_hops(recording)
    hops = max(1, round(seconds / HOP_S))
    if len(spoken) < hops:
        return np.empty(0)
    heard = np.convolve(spoken, np.ones(hops), "valid") / hops
    fits = np.arange(len(heard)) * HOP_S + seconds <= recording.seconds
    begins = spoken[: len(heard)] & (heard >= SPOKEN_SHARE) & fits
    return np.asarray(np.flatnonzero(begins) * HOP_S, np.float64)


def draw_spots(
    recordings: Sequence[Recording], seconds: float, count: int, rng: Generator
) -> list[Spot]:
    """Draw places at which somebody speaks, as many in each recording that has any.

    Returns an empty list where none has.
    """
    places = [(recording, starts_s(recording, seconds)) for recording in recordings]
    places = [(recording, starts) for recording, starts in places if len(starts)]
    if not places:
        return []
    turn = [places[number % len(places)] for number in range(count)]
    return [Spot(recording, float(rng.choice(starts))) for recording, starts in turn]
