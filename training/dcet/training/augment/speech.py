"""Random corruption of speech, on waveforms and on log-mels.

All functions take batches and draw from torch's global generator.
"""

import math

import torch
from torch import Tensor

from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.training.network.audio_encoder import sounds
from dcet.training.network.log_mel import MELS, STEPS

DB_RANGE = 80.0


def add_noise(pcm: Tensor, snr_db: Tensor) -> Tensor:
    """Add noise of a random colour to pcm (N, n), snr_db (N,) below the power of what sounds."""
    length = pcm.shape[1]
    spectrum = torch.fft.rfft(torch.randn_like(pcm))
    frequency = torch.linspace(1 / length, 1, spectrum.shape[1])
    tilt = torch.rand(len(pcm), 1)  # 0 white, 1 pink
    noise = torch.fft.irfft(spectrum * frequency ** (-tilt / 2), n=length)
    sounding = pcm != 0
    power = pcm.square().sum(dim=1) / sounding.sum(dim=1).clamp_min(1)
    scale = (power / noise.square().mean(dim=1) * 10 ** (-snr_db / 10)).sqrt()
    noisy: Tensor = pcm + noise * scale[:, None] * sounding
    return noisy


def reverberate(pcm: Tensor) -> Tensor:
    """Convolve pcm (N, n) with decaying noise, of a reverberation time of 0.1 to 0.7 s."""
    count, length = pcm.shape
    tail = SAMPLE_RATE_HZ // 2
    seconds = torch.arange(tail) / SAMPLE_RATE_HZ
    rt60 = 0.1 + 0.6 * torch.rand(count, 1)
    room = torch.randn(count, tail) * 10 ** (-3 * seconds / rt60)
    room = room / room.square().sum(dim=1, keepdim=True).sqrt()
    room = room * (0.2 + 0.6 * torch.rand(count, 1))
    room[:, 0] = 1.0
    size = length + tail
    wet: Tensor = torch.fft.irfft(
        torch.fft.rfft(pcm, n=size) * torch.fft.rfft(room, n=size), n=size
    )
    return wet[:, :length]


def equalise(pcm: Tensor, strength_db: float = 8.0) -> Tensor:
    """Filter pcm (N, n) by random smooth responses and gains, as microphones have them."""
    spectrum = torch.fft.rfft(pcm)
    gain_db = _curves(len(pcm), spectrum.shape[1], strength_db) + 20 * (torch.rand(len(pcm), 1) - 1)
    equalised: Tensor = torch.fft.irfft(spectrum * 10 ** (gain_db / 20), n=pcm.shape[1])
    return equalised


def corrupt_pcm(pcm: Tensor) -> Tensor:
    """Add noise (0 to 30 dB SNR), reverberation and equalisation, each to some of the clips."""
    for share, change in (
        (0.3, reverberate),
        (0.5, equalise),
        (0.4, lambda part: add_noise(part, 30 * torch.rand(len(part)))),
    ):
        chosen = torch.rand(len(pcm)) < share
        if chosen.any():
            pcm = pcm.clone()
            pcm[chosen] = change(pcm[chosen])
    return pcm


def noise_level(level: Tensor, snr_db: Tensor) -> Tensor:
    """Add noise to level (N, 64, 94), snr_db (N,) below the mean power of what sounds."""
    sounding = sounds(level)
    power = 10 ** ((level - 1) * DB_RANGE / 10) * sounding
    mean = power.sum(dim=(1, 2)) / (sounding.sum(dim=(1, 2)) * MELS).clamp_min(1)
    colour_db = _curves(len(level), MELS, 10.0) + torch.linspace(0, 1, MELS) * -20 * torch.rand(
        len(level), 1
    )
    colour = 10 ** (colour_db / 10)
    colour = colour / colour.mean(dim=1, keepdim=True)
    flicker = torch.empty_like(level).exponential_().add_(0.2)  # power of a noise's spectrum
    noise = (mean * 10 ** (-snr_db / 10))[:, None, None] * colour[..., None] * flicker / 1.2
    return _to_level((power + noise) * sounding)


def corrupt_level(level: Tensor) -> Tensor:
    """Corrupt log-mels as `corrupt_pcm` does waveforms; change speed, shift, and mask.

    Masks as in SpecAugment (Park et al., Interspeech 2019).
    """
    level = _warp(level)
    chosen = torch.rand(len(level)) < 0.3
    if chosen.any():
        level = level.clone()
        level[chosen] = noise_level(level[chosen], 5 + 25 * torch.rand(int(chosen.sum())))
    tilted = level + _curves(len(level), MELS, 6.0)[..., None] / DB_RANGE * (
        torch.rand(len(level), 1, 1) < 0.3
    )
    level = _top(tilted) * sounds(level)
    return _mask(level)


def _warp(level: Tensor) -> Tensor:
    """Change the speed by up to 15 %, shift by up to 0.5 s, and move the voice up or down."""
    count = len(level)
    speed = 1 + 0.3 * (torch.rand(count, 1) - 0.5)
    shift = 16 * (torch.rand(count, 1) - 0.5) * (torch.rand(count, 1) < 0.5)
    time = ((torch.arange(STEPS) + 0.5) * speed + shift) / STEPS * 2 - 1
    mel = torch.arange(MELS) + 0.5 + 3 * (torch.rand(count, 1) - 0.5)
    mel = mel.clamp(0.5, MELS - 0.5) / MELS * 2 - 1
    grid = torch.stack(
        [
            time[:, None].expand(-1, MELS, -1),
            mel[..., None].expand(-1, -1, STEPS),
        ],
        dim=-1,
    )
    return torch.nn.functional.grid_sample(level[:, None], grid, align_corners=False)[:, 0]


def _mask(level: Tensor) -> Tensor:
    """Set one band and one stretch of each clip to the clip's mean."""
    hidden = torch.zeros_like(level, dtype=torch.bool)
    for dim, most in ((1, 10), (2, 16)):
        size = level.shape[dim]
        width = torch.randint(0, most + 1, (len(level), 1))
        start = (torch.rand(len(level), 1) * (size - width)).long()
        place = torch.arange(size)
        band = (place >= start) & (place < start + width)
        hidden |= band[:, :, None] if dim == 1 else band[:, None, :]
    sounding = sounds(level)
    mean = (level * sounding).sum(dim=(1, 2)) / (sounding.sum(dim=(1, 2)) * MELS).clamp_min(1)
    return torch.where(hidden, mean[:, None, None] * sounding, level)


def _to_level(power: Tensor) -> Tensor:
    return _top(1 + torch.log10(power.clamp_min(1e-12)) * (10 / DB_RANGE))


def _top(level: Tensor) -> Tensor:
    """Let the loudest point be 1 and nothing be below 0, as the front end does."""
    return (level - level.amax(dim=(1, 2), keepdim=True) + 1).clamp_min(0)


def _curves(count: int, length: int, strength_db: float) -> Tensor:
    """Draw smooth random curves (count, length) of about ± strength_db / 2."""
    place = torch.linspace(0, math.pi, length)
    waves = torch.stack([torch.cos(k * place) / k for k in range(1, 5)])
    return torch.randn(count, 4) @ waves * (strength_db / 2)
