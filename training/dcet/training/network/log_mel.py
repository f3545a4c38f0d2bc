"""The audio front end: PCM to log-mels inside the graph, as products of small matrices.

A power mel spectrogram (1024-point DFT, hop 256, 128 Slaney mels, centred frames) is averaged over
pairs of mels and pairs of frames, and stated in dB of the window's own loudness. The loudness is
the mean power of the frames, each weighted by its power: it is that of the talk, and neither a
pause, nor padding, nor a single loud point moves it. A constant below that power keeps what is 50
dB fainter from counting.

TensorRT knows no DFT. A 1024-point DFT is two stages of 32-point ones with a twist in between
(Cooley & Tukey, Math. Comp. 1965): four products of 32×32 instead of one convolution that would
cost fifteen times as much. Sound is real, so that half of the first stage mirrors the other half.
"""

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES

N_FFT = 1024
HOP = 256
FRAMES = 1 + WINDOW_SAMPLES // HOP  # before pairs are averaged
FINE_MELS = 128
MELS, STEPS = FINE_MELS // 2, FRAMES // 2
RADIX = 32  # RADIX² = N_FFT
HALF = RADIX // 2 + 1  # of the first stage's outputs: the rest mirrors them
QUIETEST = 1e-10  # power of a window's loudest point, below which it is silent
RANGE_DB = 50.0  # below the loudness, what still counts
FLOOR = 10 ** (-RANGE_DB / 10)


class LogMel(nn.Module):
    """The log-mels of PCM (N, 48000) in [-1, 1] at 16 kHz: (N, 64, 94), as `level_of` scales them.

    Where nothing sounds, in padding or digital silence, all mels of a frame are 0.
    """

    window: Tensor
    first_real: Tensor
    first_imag: Tensor
    twist_real: Tensor
    twist_imag: Tensor
    second_real: Tensor
    second_imag: Tensor
    mels: Tensor

    def __init__(self) -> None:
        super().__init__()
        index = torch.arange(RADIX, dtype=torch.float64)
        turn = torch.outer(index, index) * (2 * torch.pi / RADIX)  # angle of W32^(row · column)
        cos, sin = turn.cos(), turn.sin()
        twist = torch.outer(index[:HALF], index) * (2 * torch.pi / N_FFT)
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
        # Bin c + 32 d stands at (c, d) after the second stage. Beyond the last bin, 512, is the
        # mirror of one whose own place would be in the half that is left out.
        bins = index[:HALF, None].long() + RADIX * index.long()
        has_place = (bins <= N_FFT // 2) | (bins % RADIX > 0) & (bins % RADIX < RADIX // 2)
        mels = fine[torch.minimum(bins, N_FFT - bins)] * has_place[..., None]
        for name, constant in (
            ("window", torch.hann_window(N_FFT, dtype=torch.float64)),
            ("first_real", cos[:HALF]),
            ("first_imag", -sin[:HALF]),
            ("twist_real", twist.cos()),
            ("twist_imag", -twist.sin()),
            ("second_real", torch.cat([cos, sin])),  # (64, 32): of real parts, then imaginary ones
            ("second_imag", torch.cat([-sin, cos])),
            ("mels", mels.flatten(0, 1)),
        ):
            # Known to the last bit without being stored, and not to be rounded to FP16.
            self.register_buffer(name, constant.float().contiguous(), persistent=False)

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
        # Sample 32 a + b stands at (a, b).
        grid = (frames * self.window).reshape(-1, RADIX, RADIX)
        real, imag = self.first_real @ grid, self.first_imag @ grid  # (frames, c, b) each
        twisted = torch.cat(
            [
                real * self.twist_real - imag * self.twist_imag,
                real * self.twist_imag + imag * self.twist_real,
            ],
            dim=2,
        )
        real, imag = twisted @ self.second_real, twisted @ self.second_imag  # (frames, c, d) each
        power = (real * real + imag * imag).reshape(-1, FRAMES, HALF * RADIX)
        return power @ self.mels


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
