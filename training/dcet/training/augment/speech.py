"""Random corruption of speech, on mel power and on waveforms.

Most of what a room, a line and a microphone do to speech can be stated for mel power, where sounds
that have nothing to do with each other add up; so corpora of log-mels go through the same rooms as
recordings. All functions take batches and draw from torch's global generator.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from dcet.training.network.audio_encoder import sounding
from dcet.training.network.log_mel import HOP, MELS, STEPS, level_of, power_of

STEP_S = 2 * HOP / SAMPLE_RATE_HZ
SHORTEST = round(0.5 / STEP_S)  # steps of the shortest cut
TAIL = 16  # steps that a room's answer lasts at most


def add_noise(pcm: Tensor, snr_db: Tensor) -> Tensor:
    """Add noise of a random colour to pcm (N, n), snr_db (N,) below the power of what sounds."""
    length = pcm.shape[1]
    spectrum = torch.fft.rfft(torch.randn_like(pcm))
    frequency = torch.linspace(1 / length, 1, spectrum.shape[1])
    tilt = torch.rand(len(pcm), 1)  # 0 white, 1 pink
    noise = torch.fft.irfft(spectrum * frequency ** (-tilt / 2), n=length)
    sounds = pcm != 0
    power = pcm.square().sum(dim=1) / sounds.sum(dim=1).clamp_min(1)
    scale = (power / noise.square().mean(dim=1) * 10 ** (-snr_db / 10)).sqrt()
    noisy: Tensor = pcm + noise * scale[:, None] * sounds
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


def cut_anywhere(pcm: Tensor) -> Tensor:
    """Cut a window at a random sample out of clips (N, n): (N, 48000).

    A clip that is hardly longer is moved by up to a hop instead.
    """
    padded = torch.nn.functional.pad(pcm, (HOP, HOP))
    starts = torch.randint(padded.shape[1] - WINDOW_SAMPLES + 1, (len(pcm),))
    return padded.gather(1, starts[:, None] + torch.arange(WINDOW_SAMPLES))


def noise_level(level: Tensor, snr_db: Tensor) -> Tensor:
    """Add noise to level (N, 64, 94), snr_db (N,) below the mean power of what sounds."""
    power = power_of(level)
    return level_of(power + _synthetic_noise(power, snr_db) * (sounding(level) > 0))


def corrupt_level(level: Tensor, noises: Tensor | None = None) -> Tensor:
    """Corrupt level (N, 64, 94) as life does, and cut it to a random length.

    Speed and pitch, room, microphone or line, noise, other talk behind, gaps, a cut of 0.5 to 3 s,
    and masks as in SpecAugment (Park et al., Interspeech 2019).

    noises: (M, 64, 94), level of recorded noises to take some of the noise from
    """
    power = power_of(_warp(level))
    talk = power[torch.randperm(len(power))]
    power = _some(0.3, power, _reverberate)
    power = _some(0.4, power, _equalise)
    power = _some(0.1, power, lambda part: part + _scaled(talk[: len(part)], part, 10, 25))
    power = _some(0.4, power, lambda part: part + _noise(part, noises))
    power = _some(0.1, power, _line)
    power = _some(0.1, power, _gaps)
    power = _some(0.5, power, _cut)
    return _mask(level_of(power))


def _some(share: float, power: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    chosen = torch.rand(len(power)) < share
    if chosen.any():
        power = power.clone()
        power[chosen] = change(power[chosen])
    return power


def _reverberate(power: Tensor) -> Tensor:
    """Let power decay as in a room with a reverberation time of 0.15 to 0.9 s."""
    count = len(power)
    rt60_s = 0.15 + 0.75 * torch.rand(count, 1)
    room = 10 ** (-6 * STEP_S * torch.arange(1, TAIL + 1) / rt60_s)
    room = room * (0.05 + 0.6 * torch.rand(count, 1))  # of the direct sound
    wet = power.clone()
    for step in range(1, TAIL + 1):
        wet[..., step:] += room[:, step - 1, None, None] * power[..., :-step]
    return wet


def _equalise(power: Tensor) -> Tensor:
    return power * 10 ** (_curves(len(power), MELS, 8.0)[..., None] / 10)


def _line(power: Tensor) -> Tensor:
    """Take away what a telephone does: below about 300 Hz and above 3.4 kHz or more."""
    low = torch.randint(1, 6, (len(power), 1))  # the first 30 mels are 63 Hz apart
    high = torch.randint(40, MELS, (len(power), 1))
    mel = torch.arange(MELS)
    inside = (mel >= low) & (mel < high)
    return power * torch.where(inside, 1.0, 1e-4)[..., None]


def _gaps(power: Tensor) -> Tensor:
    """Lose up to three stretches of up to 0.2 s, as a line does."""
    place = torch.arange(STEPS)
    for _ in range(3):
        start = torch.randint(STEPS, (len(power), 1))
        width = torch.randint(0, 7, (len(power), 1))
        power = power * ((place < start) | (place >= start + width))[:, None]
    return power


def _cut(power: Tensor) -> Tensor:
    """Keep a random stretch of 0.5 to 3 s of what sounds, rather a long one, in the middle of the
    window."""
    frames = power.mean(dim=1)
    sounds = frames > frames.amax(dim=1, keepdim=True) * 1e-4
    place = torch.arange(STEPS)
    first = torch.where(sounds, place, STEPS).amin(dim=1).clamp_max(STEPS - SHORTEST)
    last = torch.maximum(torch.where(sounds, place, 0).amax(dim=1) + 1, first + SHORTEST)
    longer = torch.rand(len(power)).sqrt()  # half are over 70 % of it
    length = SHORTEST + (longer * (last - first - SHORTEST + 1)).long()
    start = first + (torch.rand(len(power)) * (last - first - length + 1)).long()
    begin = (STEPS - length) // 2
    source = place - begin[:, None] + start[:, None]
    kept = (place >= begin[:, None]) & (place < (begin + length)[:, None])
    index = source.clamp(0, STEPS - 1)[:, None].expand(-1, MELS, -1)
    return power.gather(2, index) * kept[:, None]


def _noise(power: Tensor, noises: Tensor | None) -> Tensor:
    """Return noise 5 to 35 dB below: most of it recorded, where there are recordings."""
    noise = _synthetic_noise(power, 5 + 30 * torch.rand(len(power)))
    if noises is None:
        return noise
    drawn = power_of(noises[torch.randint(len(noises), (len(power),))])
    recorded = _scaled(drawn.roll(int(torch.randint(STEPS, ())), dims=2), power, 5, 35)
    return torch.where(torch.rand(len(power), 1, 1) < 0.6, recorded, noise)


def _scaled(sound: Tensor, power: Tensor, nearest_db: float, farthest_db: float) -> Tensor:
    """Scale another sound to lie so far below the mean power of what sounds, at random."""
    below_db = nearest_db + (farthest_db - nearest_db) * torch.rand(len(power), 1, 1)
    ratio = _mean_power(power) / _mean_power(sound).clamp_min(1e-9)
    return sound * ratio * 10 ** (-below_db / 10)


def _synthetic_noise(power: Tensor, snr_db: Tensor) -> Tensor:
    colour_db = _curves(len(power), MELS, 10.0)
    colour_db = colour_db - 20 * torch.linspace(0, 1, MELS) * torch.rand(len(power), 1)
    colour = 10 ** (colour_db / 10)
    colour = colour / colour.mean(dim=1, keepdim=True)
    flicker = torch.empty_like(power).exponential_().add_(0.2)  # power of a noise's spectrum
    below = 10 ** (-snr_db / 10)
    return _mean_power(power) * below[:, None, None] * colour[..., None] * flicker / 1.2


def _mean_power(power: Tensor) -> Tensor:
    """Average over what sounds: (N, 1, 1)."""
    frames = power.mean(dim=1, keepdim=True)
    sounds = frames > frames.amax(dim=2, keepdim=True) * 1e-4
    return (frames * sounds).sum(dim=2, keepdim=True) / sounds.sum(dim=2, keepdim=True).clamp_min(1)


def _warp(level: Tensor) -> Tensor:
    """Change the speed by up to 15 %, shift by up to 0.25 s, and move the voice up or down."""
    count = len(level)
    speed = 1 + 0.3 * (torch.rand(count, 1) - 0.5)
    shift = 16 * (torch.rand(count, 1) - 0.5)
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
    for dim, most in ((1, 10), (2, 12)):
        size = level.shape[dim]
        width = torch.randint(0, most + 1, (len(level), 1))
        start = (torch.rand(len(level), 1) * (size - width)).long()
        place = torch.arange(size)
        band = (place >= start) & (place < start + width)
        hidden |= band[:, :, None] if dim == 1 else band[:, None, :]
    weight = sounding(level)
    mean = (level * weight).sum(dim=(1, 2)) / (weight.sum(dim=(1, 2)) * MELS).clamp_min(1)
    return torch.where(hidden, mean[:, None, None] * (weight > 0), level)


def _curves(count: int, length: int, strength_db: float) -> Tensor:
    """Draw smooth random curves (count, length) of about ± strength_db / 2."""
    place = torch.linspace(0, math.pi, length)
    waves = torch.stack([torch.cos(k * place) / k for k in range(1, 5)])
    return torch.randn(count, 4) @ waves * (strength_db / 2)
