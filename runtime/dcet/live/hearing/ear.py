"""Listens to one stream of sound: hears where a voice sounds, and keeps the last seconds of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dcet.live.counters import Counters
from dcet.live.hearing.audio_track import AudioBlock, AudioTrack, Break, Hops
from dcet.live.hearing.turn_cutter import EDGE_MS, Span, Step, TurnCutter
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.bundle.manifest import Manifest, Speech
from dcet.runtime.engines.engine import Engine, start
from dcet.runtime.errors import EngineError

KEPT_MS = 24_000  # of sound, as much as a turn may be made of
QUIET_HOPS = 4  # heard at once while nobody speaks: the graph takes as long as for one
UNHEARD = Speech(
    graph="", input="", output="", hop_samples=512, threshold=1.0, least_ms=0
)  # of a bundle that cannot tell where a voice sounds


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What became of the turn with a hop."""

    step: Step
    span: Span | None  # of the turn that ended
    voice: float  # probability that one sounds
    start_us: int  # media time of the hop


class Ear:
    """Cuts one stream of sound into turns. See TurnCutter for when they begin and end."""

    def __init__(
        self,
        track: str,
        manifest: Manifest,
        engine: Engine,
        counters: Counters,
        *,
        hangover_ms: float,
        longest_ms: float,
    ) -> None:
        self.track = track
        self._engine = engine
        self._counters = counters
        self._manifest = manifest
        self._speech = manifest.speech or UNHEARD
        self._hop_ms = self._speech.hop_samples / SAMPLE_RATE_HZ * 1000
        self.hop_samples = self._speech.hop_samples
        self.hop_us = round(self._hop_ms * 1000)
        self._sound = AudioTrack(self.hop_samples, counters)
        self.cutter = TurnCutter(
            self._hop_ms,
            self._speech.threshold,
            self._speech.least_ms,
            hangover_ms=hangover_ms,
            longest_ms=longest_ms,
        )
        self._kept = np.zeros((round(KEPT_MS / self._hop_ms), self.hop_samples), np.float32)
        self._times_us = np.zeros(len(self._kept), np.int64)
        self._waiting: list[Hops] = []  # to be heard; none while there is a turn
        self._state: Floats  # of the graph that hears a voice
        self._forget_stream()

    @property
    def now_us(self) -> int | None:
        """The media time to which it has listened."""
        return self._sound.now_us

    def hear(self, block: AudioBlock) -> Iterator[Heard]:
        """Listen to a block: hop by hop in a turn, a few at once where there is none."""
        for piece in self._sound.take(block):
            if isinstance(piece, Break):
                yield from self.catch_up()
                yield self.end()
                self._forget_stream()
                continue
            self._waiting.append(piece)
            if self.cutter.span or sum(len(hops.pcm) for hops in self._waiting) >= QUIET_HOPS:
                yield from self.catch_up()

    def catch_up(self) -> Iterator[Heard]:
        """Hear the hops that wait."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            yield from self._listen(waiting)

    def flush(self) -> Iterator[Heard]:
        """Hear what is held back, and end the turn."""
        self._waiting += self._sound.flush()
        yield from self.catch_up()
        yield self.end()

    def end(self) -> Heard:
        """End the turn here, if there is one."""
        return Heard(*self.cutter.end(), 0.0, self.time_us(self.cutter.now))

    def cut(self, at_us: int) -> Heard:
        """Split the turn at a media time, where somebody else took over."""
        return Heard(*self.cutter.cut(self.hop_at(at_us)), 0.0, at_us)

    def time_us(self, hop: int) -> int:
        """Return the media time at which a hop that is still kept begins."""
        near = max(0, min(hop, self.cutter.now - 1))
        return int(self._times_us[near % len(self._kept)]) + (hop - near) * self.hop_us

    def spoken_us(self, span: Span) -> tuple[int, int]:
        """Return the media times of a turn's beginning and end, its soft edges in it."""
        edge_us = round(EDGE_MS * 1000)
        end = min(self.time_us(span.end) + edge_us, self.time_us(self.cutter.now))
        return self.time_us(span.first) - edge_us, end

    def hop_at(self, time_us: int) -> int:
        """Return the kept hop that sounds at a media time, or the nearest."""
        oldest = max(0, self.cutter.now - len(self._kept))
        hops = np.arange(oldest, self.cutter.now)
        return int(oldest + np.searchsorted(self._times_us[hops % len(self._kept)], time_us))

    def sound(self, first: int, end: int) -> Floats:
        """Return the samples (n,) from one sample to before another, counted from the beginning of
        the stream; those that are kept."""
        size = self.hop_samples
        oldest = max(0, self.cutter.now - len(self._kept))
        first, end = max(first, oldest * size), min(end, self.cutter.now * size)
        if end <= first:
            return np.zeros(0, np.float32)
        hops = np.arange(first // size, -(-end // size))
        pcm: Floats = self._kept[hops % len(self._kept)].reshape(-1)
        return pcm[first - hops[0] * size : end - hops[0] * size]

    def _listen(self, pieces: list[Hops]) -> Iterator[Heard]:
        pcm = np.concatenate([hops.pcm for hops in pieces])
        starts_us = [
            hops.start_us + i * self.hop_us for hops in pieces for i in range(len(hops.pcm))
        ]
        voices = self._voices(pcm).tolist()
        powers = np.square(pcm).mean(axis=1).tolist()
        for hop, start_us, voice, power in zip(pcm, starts_us, voices, powers, strict=True):
            place = self.cutter.now % len(self._kept)
            self._kept[place] = hop
            self._times_us[place] = start_us
            step, span = self.cutter.hop(voice, power)
            yield Heard(step, span, voice, start_us)

    def _voices(self, pcm: Floats) -> Floats:
        """Return the probability of a voice in each of the hops; 0 where that cannot be told."""
        if self._manifest.speech is None:
            return np.zeros(len(pcm), np.float32)
        inputs = {"pcm": pcm.reshape(1, -1), self._speech.input: self._state}
        try:
            outputs = start(self._engine, self._speech.graph, inputs)()
        except EngineError as error:
            self._counters.note(f"failed: {str(error)[:200]}", len(pcm))
            self._state = np.zeros_like(self._state)
            return np.zeros(len(pcm), np.float32)
        self._state = outputs[self._speech.output]
        voices: Floats = outputs["speech"][0]
        return voices

    def _forget_stream(self) -> None:
        self._kept.fill(0)
        speech = self._manifest.speech
        if speech is not None:
            (pair,) = self._manifest.states_of(speech.graph)
            self._state = np.zeros(pair.shape, np.float32)
