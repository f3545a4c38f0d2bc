"""The audio front end: librosa's recipe, on real speech and on synthetic sound."""

import os
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from dcet.runtime.arrays import WINDOW_SAMPLES
from dcet.synthetic.probes import speech
from dcet.training.network.log_mel import FLOOR_DB, LogMel

STEP_DB = 1.25
log_mel = LogMel()


def recipe(pcm: NDArray[np.float32]) -> NDArray[np.float64]:
    """CREMA-D's features as its README gives them, (64, 94) dB in steps."""
    power = librosa.feature.melspectrogram(
        y=pcm, sr=16_000, n_fft=1024, hop_length=256, n_mels=128, pad_mode="constant"
    )
    db = librosa.power_to_db(power, ref=np.max, top_db=80.0)
    db = (db - db.min()) / (db.max() - db.min()) * 80 - 80
    pairs = (10 ** (db.astype(np.float64) / 10)).reshape(64, 2, 94, 2).mean(axis=(1, 3))
    steps = np.round((10 * np.log10(pairs) + 80) / STEP_DB)
    decibels: NDArray[np.float64] = steps * STEP_DB - 80
    return decibels


def real(name: str) -> NDArray[np.float32]:
    if "DCET_DATA" not in os.environ:
        pytest.skip("DCET_DATA is not set, so there is no speech to listen to")
    file = Path(os.environ["DCET_DATA"], name)
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    samples = samples.mean(axis=1)
    if rate != 16_000:
        samples = librosa.resample(samples, orig_sr=rate, target_sr=16_000, res_type="polyphase")
    window = np.zeros(WINDOW_SAMPLES, np.float32)
    window[: len(samples)] = samples[:WINDOW_SAMPLES]
    return window


REAL = (
    "ravdess/03-01-05-01-01-01-01.flac",
    "ravdess/03-01-04-01-02-02-18.flac",
    "media/whisper_jfk.flac",
)


@pytest.mark.parametrize("sound", [0, 1, *REAL])
def test_it_is_within_one_step_of_the_recipe(sound: int | str) -> None:
    pcm = speech(3, seed=sound) if isinstance(sound, int) else real(sound)
    ours = log_mel(torch.from_numpy(pcm)[None])[0].numpy()
    assert np.abs(ours - recipe(pcm)).max() <= STEP_DB


def test_gain_changes_nothing() -> None:
    pcm = torch.from_numpy(speech(3, seed=2))[None]
    for gain in (0.03, 0.5, 3.0):
        assert torch.allclose(log_mel(pcm * gain), log_mel(pcm), atol=0.05)


def test_the_range_is_that_of_the_levels() -> None:
    for pcm in (
        speech(3, seed=3),
        np.zeros(WINDOW_SAMPLES, np.float32),
        np.ones(WINDOW_SAMPLES, np.float32),
    ):
        db = log_mel(torch.from_numpy(pcm)[None])
        assert db.shape == (1, 64, 94)
        assert torch.isfinite(db).all()
        assert db.min() >= FLOOR_DB - 1e-3
        assert db.max() <= 1e-3


def test_padding_is_silent() -> None:
    pcm = torch.from_numpy(speech(3, seed=4))[None].clone()
    pcm[:, 24_000:] = 0
    db = log_mel(pcm)
    last = (24_000 + 512) // 512 + 1  # the last frames that reach back into what sounds
    assert (db[:, :, last + 1 :] <= FLOOR_DB + 1e-3).all()
    assert (db[:, :, : last - 2].amax(dim=1) > FLOOR_DB + 20).all()


def test_windows_do_not_know_of_each_other() -> None:
    both = torch.from_numpy(np.stack([speech(3, seed=5), speech(3, seed=6) * 0.01]))
    alone = torch.cat([log_mel(part[None]) for part in both])
    assert torch.allclose(log_mel(both), alone, atol=1e-3)


def test_the_figures_are_those_of_a_fourier_transform() -> None:
    pcm = torch.from_numpy(speech(3, seed=7))[None]
    power = librosa.feature.melspectrogram(
        y=pcm[0].numpy(), sr=16_000, n_fft=1024, hop_length=256, n_mels=128, pad_mode="constant"
    )
    ours = log_mel.mel_power(pcm)[0].numpy().T
    assert np.allclose(ours, power, rtol=1e-3, atol=power.max() * 1e-6)
