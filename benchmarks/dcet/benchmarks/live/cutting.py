"""Where turns begin and end, against the turns that people wrote down."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcet.benchmarks.progress import Track
from dcet.benchmarks.room.recordings import Recording
from dcet.live.events import Event
from dcet.live.hearing.turn_cutter import HANGOVER_MS
from dcet.live.session import LiveSession
from dcet.runtime import Bundle

STEP_US = 10_000  # of the comparison
BLOCK_S = 0.02
NEAR_US = 1_000_000  # an end that lies farther from that of a turn is not found
EDGE_US = 500_000  # before the end of a recording, where turns were cut off


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """Turns of the session against those of the files."""

    recordings: int
    seconds: float
    speech_s: float  # of the files
    missed: float  # share of all time: a turn by the file, none by the session
    false_alarm: float  # the other way
    ends: int  # of speech, that a pause of the hangover and more follows
    ends_found: float  # share
    delay_p50_ms: float | None  # from the end of speech to when the session knew; None: none found
    delay_p90_ms: float | None

    @property
    def error(self) -> float:
        return self.missed + self.false_alarm

    def of_speech(self, share: float) -> float:
        """Return a share of all time as one of the time in turns."""
        return share * self.seconds / max(self.speech_s, 1e-9)


def measure_cutting(
    bundle: Bundle, engine: str, talk: Sequence[Recording], track: Track
) -> Cutting | None:
    """Push every recording that has turns through a session; None where there is none.

    Pauses of the files that are shorter than the hangover are part of a turn.
    """
    marked = [recording for recording in talk if recording.turns]
    if not marked:
        return None
    errors, delays_us, ends = np.zeros(3), [], 0
    seconds = 0.0
    for recording in track(marked, "turns of meetings"):
        known = _finals(bundle, engine, recording)
        seconds += recording.seconds
        steps = round(recording.seconds * 1e6 / STEP_US)
        spans = _joined([(turn.start_s * 1e6, turn.end_s * 1e6) for turn in recording.turns])
        true = _marked(spans, steps)
        heard = _marked([(event.start_us, event.end_us) for event, _ in known], steps)
        errors += [true.sum(), (true & ~heard).sum(), (heard & ~true).sum()]
        for _, end_us in spans:
            if end_us > recording.seconds * 1e6 - EDGE_US:
                continue
            ends += 1
            near = [(abs(event.end_us - end_us), at_us) for event, at_us in known]
            distance_us, at_us = min(near, default=(NEAR_US + 1, 0))
            if distance_us <= NEAR_US:
                delays_us.append(at_us - end_us)
    speech, missed, false = (errors * STEP_US / 1e6).tolist()
    delays_ms = np.array(delays_us) / 1000
    return Cutting(
        recordings=len(marked),
        seconds=seconds,
        speech_s=speech,
        missed=missed / seconds,
        false_alarm=false / seconds,
        ends=ends,
        ends_found=len(delays_us) / max(1, ends),
        delay_p50_ms=float(np.quantile(delays_ms, 0.5)) if delays_us else None,
        delay_p90_ms=float(np.quantile(delays_ms, 0.9)) if delays_us else None,
    )


def _finals(bundle: Bundle, engine: str, recording: Recording) -> list[tuple[Event, float]]:
    """Return the finals, each with the media time at which it was known."""
    found: list[tuple[Event, float]] = []
    samples = round(BLOCK_S * recording.rate_hz)
    with LiveSession(bundle, engine=engine, threaded=False) as session:
        for start in range(0, len(recording.samples), samples):
            block = recording.samples[start : start + samples]
            session.push_audio(
                block, round(start * 1e6 / recording.rate_hz), sample_rate_hz=recording.rate_hz
            )
            now_us = (start + len(block)) * 1e6 / recording.rate_hz
            found += [(event, now_us) for event in session.events(0)]
        session.flush()
        found += [(event, recording.seconds * 1e6) for event in session.events(0)]
    return [(event, now_us) for event, now_us in found if event.kind == "final"]


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join spans of several people, and over pauses that are shorter than the hangover."""
    joined: list[tuple[float, float]] = []
    for start_us, end_us in sorted(spans):
        if joined and start_us - joined[-1][1] < HANGOVER_MS * 1000:
            joined[-1] = joined[-1][0], max(joined[-1][1], end_us)
        else:
            joined.append((start_us, end_us))
    return joined


def _marked(spans: Sequence[tuple[float, float]], steps: int) -> NDArray[np.bool_]:
    marked = np.zeros(steps, bool)
    for start_us, end_us in spans:
        marked[max(0, round(start_us / STEP_US)) : max(0, round(end_us / STEP_US))] = True
    return marked
