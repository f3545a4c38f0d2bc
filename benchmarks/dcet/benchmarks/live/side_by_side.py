"""Clips of several people side by side, of whom one at a time speaks: who, is known exactly."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dcet.benchmarks.live.talking_heads import TILE_PIXELS, Head
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.senses.face import Pixels

SHORTEST_S, LONGEST_S = 1.2, 4.0  # of a turn
PAUSE_S = 0.7  # between turns
QUIET_DB = 25.0  # below a voice's loudest tenth of a second: a pause
GAP_S = 0.25  # within a turn
STEP_S = 0.1  # of the level


@dataclass(frozen=True, slots=True)
class Spoken:
    """One turn."""

    start_us: int
    end_us: int
    person: int | None  # place in `SideBySide.heads`; None for a voice out of the picture


@dataclass(frozen=True, slots=True, eq=False)
class SideBySide:
    """A clip, made as it is watched."""

    heads: Sequence[Head]
    turns: Sequence[Spoken]
    sound: Floats  # (n,) at 16 kHz
    clip_s: Sequence[NDArray[np.float64]]  # for each turn: where in its own clip each head then is
    restless: Collection[int] = ()  # people whose mouths move all the time, as if they chewed

    @property
    def columns(self) -> int:
        """Heads beside each other; from three on, there are two rows."""
        return len(self.heads) if len(self.heads) < 3 else -(-len(self.heads) // 2)

    def frames(self, frame_rate: float) -> Iterator[tuple[int, Pixels]]:
        """Yield the time in microseconds and the RGB picture of each frame."""
        for number in range(int(len(self.sound) / SAMPLE_RATE_HZ * frame_rate)):
            at_us = round(number / frame_rate * 1e6)
            yield at_us, self.frame(at_us)

    def frame(self, at_us: int) -> Pixels:
        """Return the picture at a time: the mouths of all who do not speak are shut."""
        current = max(0, sum(turn.start_us - PAUSE_S / 2 * 1e6 <= at_us for turn in self.turns) - 1)
        turn = self.turns[current]
        rows = -(-len(self.heads) // self.columns)
        shape = (rows * TILE_PIXELS, self.columns * TILE_PIXELS, 3)
        picture = np.zeros(shape, np.uint8)
        for person, head in enumerate(self.heads):
            speaks = turn.person == person and turn.start_us <= at_us < turn.end_us
            clip_s = float(self.clip_s[current][person]) + (at_us - turn.start_us) / 1e6
            top, left = (TILE_PIXELS * place for place in divmod(person, self.columns))
            picture[top : top + TILE_PIXELS, left : left + TILE_PIXELS] = head.picture(
                clip_s, talks=speaks or person in self.restless
            )
        return picture

    def person_at(self, x: float, y: float) -> int:
        """Return whose tile a pixel lies in."""
        return int(y // TILE_PIXELS) * self.columns + int(x // TILE_PIXELS)


def side_by_side(
    heads: Sequence[Head],
    seconds: float,
    *,
    seed: int,
    strangers: Sequence[Floats] = (),
    restless: Collection[int] = (),
) -> SideBySide:
    """Put people side by side who speak in turn, in an order drawn with `seed`.

    strangers: voices (n,) at 16 kHz that speak out of the picture, in their turn like the others
    restless: people whose mouths move all the time, as if they chewed

    A person who speaks shows the pictures that belong to their sound; everybody else goes on from
    where they were.
    """
    rng = np.random.default_rng(seed)
    voices = [*(head.sound for head in heads), *strangers]
    spans = [_spans(voice) for voice in voices]
    said = [0] * len(voices)
    turns: list[Spoken] = []
    clips: list[NDArray[np.float64]] = []
    sound = np.zeros(int(seconds * SAMPLE_RATE_HZ), np.float32)
    at_s, before, speaker = PAUSE_S, np.zeros(len(heads)), -1
    while True:
        speaker = int(rng.choice([voice for voice in range(len(voices)) if voice != speaker]))
        begin, end = spans[speaker][said[speaker] % len(spans[speaker])]
        said[speaker] += 1
        if at_s + end - begin + PAUSE_S > seconds:
            return SideBySide(heads, turns, sound, clips, restless)
        since_s = at_s - turns[-1].start_us / 1e6 if turns else 0.0
        before = before + since_s
        if speaker < len(heads):
            before[speaker] = begin
        clips.append(before)
        person = speaker if speaker < len(heads) else None
        turns.append(Spoken(round(at_s * 1e6), round((at_s + end - begin) * 1e6), person))
        said_pcm = voices[speaker][round(begin * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)]
        first = round(at_s * SAMPLE_RATE_HZ)
        sound[first : first + len(said_pcm)] = said_pcm
        at_s += end - begin + PAUSE_S


def _spans(sound: Floats) -> list[tuple[float, float]]:
    """Return where a voice speaks without a pause, in seconds; longer ones are cut."""
    step = round(STEP_S * SAMPLE_RATE_HZ)
    steps = sound[: len(sound) // step * step].reshape(-1, step)
    level_db = 10 * np.log10(np.square(steps).mean(axis=1) + 1e-10)
    loud = np.flatnonzero(level_db > np.percentile(level_db, 95) - QUIET_DB)
    parts = np.split(loud, np.flatnonzero(np.diff(loud) * STEP_S > GAP_S + STEP_S) + 1)
    spans = []
    for part in parts:
        begin, end = part[0] * STEP_S, (part[-1] + 1) * STEP_S
        pieces = max(1, int(np.ceil((end - begin) / LONGEST_S)))
        edges = np.linspace(begin, end, pieces + 1)
        spans += [(float(a), float(b)) for a, b in pairwise(edges)]
    return [(a, b) for a, b in spans if b - a >= SHORTEST_S]
