"""The audio front end: PCM to log-mels inside the graph, as products of small matrices.

The figures are those of the CREMA-D features that the encoder is trained on: a power mel
spectrogram (1024-point DFT, hop 256, 128 Slaney mels, centred frames) in dB under the window's own
maximum, stretched so that its range is [-80, 0], then averaged as power over pairs of mels and
pairs of frames.

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
FLOOR_DB = -80.0
RADIX = 32  # RADIX² = N_FFT
HALF = RADIX // 2 + 1  # of the first stage's outputs: the rest mirrors them
QUIETEST = 1e-10  # power below which librosa's `power_to_db` does not look


class LogMel(nn.Module):
    """The log-mels of PCM (N, 48000) in [-1, 1] at 16 kHz: (N, 64, 94) dB in [-80, 0].

    Where nothing sounds, in padding or digital silence, all mels of a frame are at -80.
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
        power = self.mel_power(pcm).clamp_min(QUIETEST)
        db = 10 * torch.log10(power)
        db = (db - db.amax(dim=(1, 2), keepdim=True)).clamp_min(FLOOR_DB)
        low = db.amin(dim=(1, 2), keepdim=True)
        db = (db - low) / low.neg().clamp_min(1e-3) * -FLOOR_DB + FLOOR_DB
        pairs = nn.functional.avg_pool2d(torch.exp(db * _NEPER)[:, None], 2)[:, 0]
        return torch.log(pairs).transpose(1, 2) / _NEPER

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


_NEPER = 0.2302585092994046  # ln(10) / 10: from dB to the natural logarithm of power
