"""The audio front end: PCM to log-mels inside the graph.

A power mel spectrogram (1024-point DFT, hop 256, 128 Slaney mels, centred frames) is averaged over
pairs of mels and pairs of frames, and stated in dB of the window's own loudness. The loudness is
the mean power of the frames, each weighted by its power: it is that of the talk, and neither a
pause, nor padding, nor a single loud point moves it. A constant below that power keeps what is 50
dB fainter from counting.
"""

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from dcet.training.network.mel_power import MelPower

N_FFT = 1024
HOP = 256
FRAMES = 1 + WINDOW_SAMPLES // HOP  # before pairs are averaged
FINE_MELS = 128
MELS, STEPS = FINE_MELS // 2, FRAMES // 2
RADIX = 32  # RADIX² = N_FFT
QUIETEST = 1e-10  # power of a window's loudest point, below which it is silent
RANGE_DB = 50.0  # below the loudness, what still counts
FLOOR = 10 ** (-RANGE_DB / 10)


class LogMel(MelPower):
    """The log-mels of PCM (N, 48000) in [-1, 1] at 16 kHz: (N, 64, 94), as `level_of` scales them.

    Where nothing sounds, in padding or digital silence, all mels of a frame are 0.
    """

    def __init__(self) -> None:
        fine = torch.from_numpy(
            mel_filter_bank(
                num_frequency_bins=N_FFT // 2 + 1,
                num_mel_filters=FINE_MELS,
                min_frequency=0.0,
                max_frequency=SAMPLE_RATE_HZ / 2,
                sampling_rate=SAMPLE_RATE_HZ,
                norm="slaney",
                mel_scale="slaney",
            )
        )
        super().__init__(RADIX, RADIX, torch.hann_window(N_FFT, dtype=torch.float64), fine)

    def forward(self, pcm: Tensor) -> Tensor:
        pairs = nn.functional.avg_pool2d(self.mel_power(pcm)[:, None], 2)[:, 0]
        return level_of(pairs.transpose(1, 2))

    def mel_power(self, pcm: Tensor) -> Tensor:
        """Return (N, 188, 128) of (N, 48000), as librosa's `melspectrogram` but for the axes."""
        blocks = FRAMES + N_FFT // HOP - 1
        left = N_FFT // 2
        padded = nn.functional.pad(pcm, (left, blocks * HOP - WINDOW_SAMPLES - left))
        hops = padded.reshape(-1, blocks, HOP)
        frames = torch.cat([hops[:, i : i + FRAMES] for i in range(N_FFT // HOP)], dim=2)
        return self.power(frames).reshape(-1, FRAMES, FINE_MELS)


def level_of(power: Tensor) -> Tensor:
    """State mel power (N, 64, 94) in dB of each window's loudness: 1 is the loudness, 0 is 50 dB
    below it or less."""
    loudest = power.amax(dim=(1, 2), keepdim=True).clamp_min(QUIETEST)
    power = power / loudest  # so that squares neither vanish nor overflow
    frames = power.mean(dim=1, keepdim=True)
    loudness = frames.square().sum(dim=2, keepdim=True) / frames.sum(dim=2, keepdim=True).clamp_min(
        1e-9
    )
    return torch.log10(power / loudness.clamp_min(1e-9) + FLOOR) * (10 / RANGE_DB) + 1


def power_of(level: Tensor) -> Tensor:
    """Undo `level_of`, but for the loudness: power of which the loudness is 1."""
    return (torch.exp((level - 1) * (RANGE_DB * _NEPER)) - FLOOR).clamp_min(0)


_NEPER = 0.2302585092994046  # ln(10) / 10: from dB to the natural logarithm of power
