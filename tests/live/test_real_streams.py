"""Streams of real recordings through the bundle that ships with the package."""

from pathlib import Path

import numpy as np
import pytest

from dcet.data.media import read_audio
from dcet.data.rttm import read_rttm
from dcet.live import LiveSession
from dcet.live.media.media_file import MediaFile, Sound
from dcet.runtime import Bundle, FaceFinder
from tests.live.scenes import adds_up, finals, push, taken

FRAME_S = 0.01


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.default()


def test_speech_is_told_from_silence_in_meetings(data: Path, bundle: Bundle) -> None:
    """On AMI's clips: of the time, at most 12 % is judged wrong; and an end is known soon."""
    engine, wrong, waits = bundle.engine("auto"), [], []
    truth = read_rttm(data / "ami" / "train.rttm")
    for path in sorted((data / "ami").glob("*.flac")):
        pcm, rate_hz = read_audio(path)
        session = LiveSession(
            bundle, engine=engine, threaded=False, attribution=False, interim_ms=3_600_000
        )
        push(session, pcm, rate_hz=rate_hz, block=1600)
        events = finals(taken(session))
        spoken = np.zeros(round(len(pcm) / rate_hz / FRAME_S), bool)
        heard = np.zeros_like(spoken)
        for turn in truth[path.stem]:
            spoken[round(turn.start_s / FRAME_S) : round(turn.end_s / FRAME_S)] = True
        for event in events:
            heard[max(0, event.start_us // 10_000) : event.end_us // 10_000] = True
            waits.append(event.latency_ms["hangover"])
        wrong.append((spoken != heard).mean())
    assert np.mean(wrong) <= 0.12
    assert np.median(waits) <= 350


@pytest.mark.parametrize("frames_a_second", [3, 12])
def test_a_talking_head_is_the_one_who_speaks(
    data: Path, bundle: Bundle, frames_a_second: float
) -> None:
    """At any rate of frames, with the same turns and nearly the same estimates as at 25."""
    made = []
    for rate in (25.0, frames_a_second):
        session = LiveSession(bundle, threaded=False, face_finder=FaceFinder(), interim_ms=2000)
        next_us = 0.0
        for item in MediaFile(data / "media" / "latentsync_demo1.mp4"):
            if isinstance(item, Sound):
                session.push_audio(item.samples, item.pts_us, sample_rate_hz=item.sample_rate_hz)
            elif item.pts_us >= next_us:
                session.push_frame(item.pixels, item.pts_us)
                next_us += 1e6 / rate
        made.append(finals(taken(session)))
        assert adds_up(session)
    spans = [[(event.start_us, event.end_us) for event in events] for events in made]
    assert spans[0] == spans[1]
    for one, other in zip(*made, strict=True):
        assert one.speaker == other.speaker == "person 1"
        assert one.estimate is not None
        assert other.estimate is not None
        assert one.estimate.probabilities == pytest.approx(other.estimate.probabilities, abs=0.02)
