"""One stream of sound, made into hops of 32 ms at 16 kHz on the clock of media time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.counters import Counters
from dcet.live.timeline import SECOND_US, SoundClock
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.extras import need

PIECE_S = 1.0  # worked off at once of a longer block
DC_S = 1.0  # over which a constant offset is followed


@dataclass(frozen=True, slots=True, eq=False)
class AudioBlock:
    """Sound as it was pushed."""

    track: str
    pcm: NDArray[Any]  # (n,) or (n, channels), int16 or floats
    pts_us: int  # of its first sample
    sample_rate_hz: int


@dataclass(frozen=True, slots=True, eq=False)
class Hops:
    """Hops that follow each other."""

    pcm: Floats  # (hops, hop_samples), in [-1, 1], without offset
    start_us: int  # media time of the first


@dataclass(frozen=True, slots=True)
class Break:
    """What follows has nothing to do with what was before."""

    why: str


class AudioTrack:
    """Turns blocks of any length and rate into hops, the same ones however the sound was cut."""

    def __init__(self, hop_samples: int, counters: Counters) -> None:
        self._hop_samples = hop_samples
        self._counters = counters
        self._clock = SoundClock()
        self._rate_hz: int | None = None
        self._resampler: Any = None
        self._last: AudioBlock | None = None
        self._held: Floats  # at 16 kHz, less than a hop
        self._restart()

    @property
    def now_us(self) -> int | None:
        """The media time to which it has come; None before the first block."""
        return None if self._clock.next_us is None else round(self._clock.next_us)

    def take(self, block: AudioBlock) -> Iterator[Hops | Break]:
        """Work off a block in pieces of at most a second."""
        if self._is_repeated(block):
            self._counters.settle("samples", "dropped", len(block.pcm), why="the same block again")
            return
        self._last = block
        left = len(block.pcm)  # samples of which it is not said yet what became of them
        try:
            duration_us = left / block.sample_rate_hz * SECOND_US
            placed = self._clock.place(block.pts_us, duration_us)
            if placed.place == "jump":
                yield from self.flush()
                self._restart()
                self._counters.note("jumps of a clock of sound")
                yield Break("its clock jumped")
            elif placed.place == "gap":
                self._counters.note("gaps in sound, filled with silence")
                yield from self._silence(placed.silence_us, block.sample_rate_hz, duration_us)
            heard = min(left, round(placed.heard_us * block.sample_rate_hz / SECOND_US))
            self._counters.settle("samples", "late", heard, why="heard already")
            left -= heard
            size = max(1, int(PIECE_S * block.sample_rate_hz))
            while left:
                piece = block.pcm[len(block.pcm) - left :][:size]
                samples, broken = _to_mono(piece)
                left -= len(piece)
                self._counters.settle("samples", "dropped", broken, why="NaN or infinite")
                self._counters.settle("samples", "used", len(piece) - broken)
                yield from self._feed(
                    samples, block.sample_rate_hz, left / block.sample_rate_hz * SECOND_US
                )
        finally:
            self._counters.settle("samples", "dropped", left, why="they could not be heard")

    def flush(self) -> Iterator[Hops]:
        """Give what is held back until more comes, the last hop filled up with silence."""
        self._end_resampler()
        short = -len(self._held) % self._hop_samples
        self._held = np.concatenate([self._held, np.zeros(short, np.float32)])
        yield from self._hops()

    def _restart(self) -> None:
        self._held = np.zeros(0, np.float32)
        self._fed_us = 0.0  # of sound since the beginning
        self._end_us = 0.0  # media time to which that reaches
        self._given = 0  # samples at 16 kHz that went into hops since then
        self._offset = 0.0
        self._resampler = None

    def _is_repeated(self, block: AudioBlock) -> bool:
        last = self._last
        return (
            last is not None
            and last.pts_us == block.pts_us
            and last.sample_rate_hz == block.sample_rate_hz
            and np.array_equal(last.pcm, block.pcm)
        )

    def _silence(self, silence_us: int, rate_hz: int, duration_us: float) -> Iterator[Hops]:
        """Feed silence before a block that lasts `duration_us`."""
        left = round(silence_us * rate_hz / SECOND_US)
        ahead_us = silence_us + duration_us
        while left > 0:
            count = min(left, int(PIECE_S * rate_hz) or 1)
            left -= count
            ahead_us -= count / rate_hz * SECOND_US
            yield from self._feed(np.zeros(count, np.float32), rate_hz, ahead_us)

    def _feed(self, samples: Floats, rate_hz: int, ahead_us: float) -> Iterator[Hops]:
        """Resample; `ahead_us` of the block are still to come."""
        if rate_hz != self._rate_hz and self._rate_hz is not None:
            self._counters.note("changes of the sample rate")
            self._end_resampler()
        self._rate_hz = rate_hz
        self._fed_us += len(samples) / rate_hz * SECOND_US
        assert self._clock.next_us is not None
        self._end_us = self._clock.next_us - ahead_us
        if rate_hz != SAMPLE_RATE_HZ:
            if self._resampler is None:
                soxr = need("soxr", extra="live")
                self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
            samples = self._resampler.resample_chunk(samples)
        self._held = np.concatenate([self._held, samples])
        yield from self._hops()

    def _end_resampler(self) -> None:
        """Take what it holds back, if there is one."""
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            self._held, self._resampler = np.concatenate([self._held, rest]), None

    def _hops(self) -> Iterator[Hops]:
        count = len(self._held) // self._hop_samples
        if count == 0:
            return
        size = count * self._hop_samples
        pcm, self._held = self._held[:size].reshape(count, -1).copy(), self._held[size:]
        share = min(1.0, self._hop_samples / SAMPLE_RATE_HZ / DC_S)
        for hop in pcm:
            self._offset += share * (float(hop.mean()) - self._offset)
            hop -= self._offset
        np.clip(pcm, -1, 1, out=pcm)
        behind_us = self._fed_us - self._given / SAMPLE_RATE_HZ * SECOND_US
        self._given += size
        yield Hops(pcm, round(self._end_us - behind_us))


def _to_mono(piece: NDArray[Any]) -> tuple[Floats, int]:
    """Return the samples in [-1, 1], and how many were NaN or infinite and are silence now."""
    if piece.dtype == np.int16:
        samples, broken = piece.astype(np.float32) / np.float32(2**15), 0
    else:
        samples = piece.astype(np.float32)
        finite = np.isfinite(samples)
        whole = finite if finite.ndim == 1 else finite.all(axis=1)
        broken = int(len(whole) - whole.sum())
        samples = np.clip(np.where(finite, samples, 0), -1, 1)
    mono: Floats = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)
    return mono, broken
