"""Figures of a detector of voices on held-out recordings, beside those of its teacher."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcet.data.media import read_mono
from dcet.data.metrics import area_under_roc
from dcet.data.rttm import read_rttm
from dcet.runtime.arrays import HOP_SAMPLES, SAMPLE_RATE_HZ, Floats
from dcet.training.speech.recordings import Recordings, meetings

Detect = Callable[[Floats], Floats]  # (n,) PCM to a probability for each whole hop
SNRS_DB: Mapping[str, float | None] = {"clean": None, "10 dB": 10.0, "0 dB": 0.0}
WHITE_DB = (-60, -40, -20, 0)  # of full scale


def judge(
    detectors: Mapping[str, Detect],
    data: Path,
    held_out: Recordings,
    threshold: float,
    least_ms: float,
) -> dict[str, dict[str, float]]:
    """Return for each detector what it gets right and wrong.

    auc …: of a voice against none in hops of the held-out meetings, whose turns people marked, in
    clean sound and under white noise; alarms …: share of sounds without a voice, and hits …: of
    vocal bursts, in which `least_ms` or more are above the threshold
    """
    files = meetings(data / "ami", "dev")
    pcm = [read_mono(file) for file in files]
    turns = [
        read_turns(data / "ami", file.stem, len(sound))
        for file, sound in zip(files, pcm, strict=True)
    ]
    clips = _clips(held_out)
    figures: dict[str, dict[str, float]] = {}
    for name, detect in detectors.items():
        rng = np.random.default_rng(0)  # the same noise for all
        found = {}
        for label, snr_db in SNRS_DB.items():
            heard = [
                detect(sound if snr_db is None else white(sound, snr_db, rng)) for sound in pcm
            ]
            found[f"auc {label}"] = area_under_roc(np.concatenate(turns), np.concatenate(heard))
        for label, sounds in clips.items():
            voiced_ms = [(detect(sound) >= threshold).sum() * HOP_SAMPLES / 16 for sound in sounds]
            found[label] = float((np.array(voiced_ms) >= least_ms).mean())
        figures[name] = found
    return figures


def _clips(held_out: Recordings) -> dict[str, list[Floats]]:
    rng = np.random.default_rng(1)
    samples = 4 * SAMPLE_RATE_HZ
    bursts, synthetic = held_out.voices[2], held_out.voices[3]
    return {
        "alarms in recorded noise": list(held_out.noises),
        "alarms in synthetic sounds": [
            sound * np.float32(rng.uniform(0.01, 1)) for sound in held_out.made
        ],
        "alarms in white noise": [
            rng.standard_normal(samples).astype(np.float32) * np.float32(0.3 * 10 ** (db / 20))
            for db in WHITE_DB
        ],
        "hits in acted speech": [sound.pcm for sound in held_out.voices[1]],
        "hits in bursts": [sound.pcm for sound in bursts],
        "hits in synthetic voices": [sound.pcm for sound in synthetic],
    }


def white(pcm: Floats, snr_db: float, rng: np.random.Generator) -> Floats:
    """Add white noise so far below the power of pcm (n,)."""
    level = np.sqrt(np.square(pcm).mean() * 10 ** (-snr_db / 10))
    noisy: Floats = (pcm + level * rng.standard_normal(len(pcm))).astype(np.float32)
    return noisy


def read_turns(folder: Path, meeting: str, samples: int) -> NDArray[np.bool_]:
    """Return for each whole hop of a meeting whether somebody speaks, by train.rttm.

    Raises what `read_rttm` raises.
    """
    spoken = np.zeros(samples // HOP_SAMPLES * HOP_SAMPLES, bool)
    for turn in read_rttm(folder / "train.rttm").get(meeting, ()):
        start, end = (round(at_s * SAMPLE_RATE_HZ) for at_s in (turn.start_s, turn.end_s))
        spoken[start:end] = True
    most: NDArray[np.bool_] = spoken.reshape(-1, HOP_SAMPLES).mean(axis=1) >= 0.5
    return most
