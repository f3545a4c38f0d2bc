"""The speech detector: PCM in hops of 32 ms, the probability that a human voice sounds in each.

A causal network of dilated convolutions over log-mels (as in Bai et al., arXiv 1803.01271, with the
normalisation inside). What a convolution needs of the past, and the last samples of the frame that
goes on, are one state tensor, so that a stream heard piece by piece gives what it gives whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from dcet.runtime.arrays import HOP_SAMPLES, SAMPLE_RATE_HZ
from dcet.training.network.mel_power import MelPower
from dcet.training.settings import Count, Settings, Share

N_FFT = 512
STEP = N_FFT // 2  # samples from one frame to the next; a hop has two frames
FRAMES = HOP_SAMPLES // STEP
MELS = 48
LOWEST_HZ = 100.0  # below it are hum and offsets
ROWS, COLUMNS = 32, 16  # their product is N_FFT
QUIETEST = 1e-10  # power of a band where nothing sounds: 100 dB below a sine of full scale
MIDDLE_DB, SPREAD_DB = -60.0, 20.0  # of bands of ordinary recordings
KERNEL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechConfig(Settings):
    """The shape of the detector, and what a host takes for a voice."""

    channels: Count = 44
    dilations: Sequence[Count] = (1, 2, 4, 8, 16)  # in hops: the last 2 s are heard
    # Of the probability, from which a hop is voiced. Of held-out noises, 1 % have 200 ms of that,
    # and of acted speech 98 %; at 0.5, 12 % and 99 %.
    threshold: Share = 0.8
    least_ms: Count = 200  # of voiced hops, below which a turn has no voice


class HopMels(MelPower):
    """The log-mels of frames (N, hops, 2, 512): (N, 96, hops), those of a hop one behind the other.

    Absolute levels: 0 dB is a sine of full scale.
    """

    def __init__(self) -> None:
        filters = torch.from_numpy(
            mel_filter_bank(
                num_frequency_bins=N_FFT // 2 + 1,
                num_mel_filters=MELS,
                min_frequency=LOWEST_HZ,
                max_frequency=SAMPLE_RATE_HZ / 2,
                sampling_rate=SAMPLE_RATE_HZ,
                norm=None,
                mel_scale="htk",
            )
        )
        hann = torch.hann_window(N_FFT, dtype=torch.float64)
        super().__init__(ROWS, COLUMNS, hann * (2 / hann.sum()), filters)

    def forward(self, frames: Tensor) -> Tensor:
        power = self.power(frames)
        db = 10 * torch.log10(power.clamp_min(QUIETEST))
        level = (db - MIDDLE_DB) / SPREAD_DB
        return level.reshape(frames.shape[0], -1, FRAMES * MELS).transpose(1, 2)


class CausalConv(nn.Module):
    """A dilated convolution over the past alone, which is given with the input."""

    def __init__(self, channels_in: int, channels_out: int, dilation: int) -> None:
        super().__init__()
        self.past = (KERNEL - 1) * dilation  # hops
        self.conv = nn.Conv1d(channels_in, channels_out, KERNEL, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(channels_out)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, channels_in, hops) behind (N, channels_in, past); return the next past, too."""
        joined = torch.cat([past, x], dim=2)
        return self.norm(self.conv(joined)).relu(), joined[:, :, -self.past :]


class SpeechDetector(nn.Module):
    """Log-mels, a causal convolution, and residual blocks of dilated ones."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.log_mel = HopMels()
        self.stem = CausalConv(FRAMES * MELS, channels, 1)
        self.blocks = nn.ModuleList(
            CausalConv(channels, channels, dilation) for dilation in config.dilations
        )
        self.mixes = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in config.dilations)
        self.head = nn.Conv1d(channels, 1, 1)
        pasts = [FRAMES * MELS * self.stem.past]
        pasts += [channels * (KERNEL - 1) * dilation for dilation in config.dilations]
        self._parts = [STEP, *pasts]  # of the state

    @property
    def state_size(self) -> int:
        """How many numbers the state has."""
        return sum(self._parts)

    def forward(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Hear the next hops of streams.

        pcm: (N, hops · 512) in [-1, 1] at 16 kHz
        state: (N, state_size), zeros at first
        returns the probability of a voice (N, hops), and the next state
        """
        logits, following = self.hear(pcm, state)
        return torch.sigmoid(logits), following

    def hear(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, hops) and the next state of what `forward` takes."""
        before, *pasts = state.split(self._parts, dim=1)
        joined = torch.cat([before, pcm], dim=1)
        blocks = joined.reshape(pcm.shape[0], -1, STEP)
        frames = torch.cat([blocks[:, :-1], blocks[:, 1:]], dim=2)
        x = self.log_mel(frames)
        x, kept = self.stem(x, pasts[0].unflatten(1, (-1, self.stem.past)))
        following = [joined[:, -STEP:], kept.flatten(1)]
        for block, mix, past in zip(self.blocks, self.mixes, pasts[1:], strict=True):
            heard, kept = block(x, past.unflatten(1, (self.config.channels, -1)))
            x = x + mix(heard)
            following.append(kept.flatten(1))
        return self.head(x.relu()).squeeze(1), torch.cat(following, dim=1)
