"""The audio front end: librosa's recipe, on real speech and on synthetic sound."""

import os
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcet.runtime.arrays import WINDOW_SAMPLES
from dcet.synthetic.probes import speech
from dcet.training.network.audio_encoder import sounding
from dcet.training.network.log_mel import LogMel, level_of

log_mel = LogMel()


def recipe(pcm: NDArray[np.float32]) -> NDArray[np.float64]:
    """The log-mels by librosa's spectrogram and the words of `level_of`, (64, 94)."""
    power = librosa.feature.melspectrogram(
        y=pcm, sr=16_000, n_fft=1024, hop_length=256, n_mels=128, pad_mode="constant"
    )
    pairs = power.astype(np.float64).reshape(64, 2, 94, 2).mean(axis=(1, 3))
    frames = pairs.mean(axis=0)
    loudness = np.average(frames, weights=frames)
    level: NDArray[np.float64] = 1 + np.log10(pairs / loudness + 1e-5) / 5
    return level


def crema_d(pcm: NDArray[np.float32]) -> Tensor:
    """The log-mels of what CREMA-D's front end stores of this sound, (64, 94)."""
    power = librosa.feature.melspectrogram(
        y=pcm, sr=16_000, n_fft=1024, hop_length=256, n_mels=128, pad_mode="constant"
    )
    db = librosa.power_to_db(power, ref=np.max, top_db=80.0)
    pairs = (10 ** (db.astype(np.float64) / 10)).reshape(64, 2, 94, 2).mean(axis=(1, 3))
    steps = np.round((10 * np.log10(pairs) + 80) / 1.25)
    return level_of(torch.from_numpy(10 ** ((steps * 1.25 - 80) / 10)).float()[None])[0]


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
def test_it_is_the_recipe(sound: int | str) -> None:
    pcm = speech(3, seed=sound) if isinstance(sound, int) else real(sound)
    ours = log_mel(torch.from_numpy(pcm)[None])[0]
    assert np.abs(ours.numpy() - recipe(pcm)).max() <= 1e-3
    # CREMA-D's steps of 1.25 dB, rounded, are 0.0125 of 50 dB at most.
    assert (ours - crema_d(pcm)).abs().max() <= 0.015


def test_gain_changes_nothing() -> None:
    pcm = torch.from_numpy(speech(3, seed=2))[None]
    for gain in (0.03, 0.5, 3.0):
        assert torch.allclose(log_mel(pcm * gain), log_mel(pcm), atol=1e-4)


def test_any_sound_has_finite_levels() -> None:
    for pcm in (
        speech(3, seed=3),
        np.zeros(WINDOW_SAMPLES, np.float32),
        np.ones(WINDOW_SAMPLES, np.float32),
        np.eye(1, WINDOW_SAMPLES, 24_000, dtype=np.float32)[0],  # a click
    ):
        level = log_mel(torch.from_numpy(pcm)[None])
        assert level.shape == (1, 64, 94)
        assert torch.isfinite(level).all()
        assert level.min() >= -1e-3
        assert level.max() <= 2.2  # all power in one frame and band: 64 times the mean, and more


def test_neither_padding_nor_faint_noise_moves_the_level_of_talk() -> None:
    talk = torch.from_numpy(speech(3, seed=4))[None].clone()
    talk[:, 24_000:] = 0
    level = log_mel(talk)
    last = (24_000 + 512) // 512 + 1  # the last frames that reach back into what sounds
    assert (level[:, :, last + 1 :] <= 1e-3).all()
    assert not sounding(level)[:, :, last + 1 :].any()
    # As much silence before it as after it, in whole frames: nothing but the place changes.
    moved = log_mel(talk.roll(23 * 512, dims=1))
    assert torch.allclose(moved[:, :, 25:47], level[:, :, 2:24], atol=1e-3)
    noise = torch.randn(talk.shape, generator=torch.Generator().manual_seed(0))
    faint = talk + noise * talk.square().mean().sqrt() * 10 ** (-60 / 20)
    apart = (log_mel(faint) - level).abs() * sounding(level)
    assert apart.mean() < 0.01  # half a dB


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
