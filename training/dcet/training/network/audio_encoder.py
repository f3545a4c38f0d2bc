"""The audio encoder: 3 s windows of PCM in, one vector per window out.

A speaker's usual voice is normalised away first: log-mels are standardised by the mean and the
spread of the same speaker's earlier speech. The sums behind them are the encoder's state, `voice`,
which the host keeps with the rest of the speaker's memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import EMOTIONS
from dcet.training.device import device_of, moved
from dcet.training.network.log_mel import MELS, STEPS, LogMel, power_of
from dcet.training.network.residual import residual_stages, smooth
from dcet.training.settings import Count, Settings, Share

PRIOR_WINDOWS = 2.0  # how many windows of an unknown speaker the average voice counts for
REMEMBERED_WINDOWS = 64.0  # beyond it, the oldest speech fades
VOICE_SHAPE = (3, MELS)
AT_ONCE = 256
EDGE = 3  # frames at both ends of a window that are left out: half of what they hold is elsewhere
STRIDE = 8  # frames to a step of the attention
RAMP = 8  # frames at both ends in which the weight rises, so that what comes in comes in gently
FAINT_DB, PLAIN_DB = -35.0, -20.0  # below the loudness: where a frame counts nothing, and in full


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioConfig(Settings):
    """The shape of the audio encoder."""

    channels: Sequence[Count] = (32, 64, 128)
    width: Count = 128
    dropout: Share = 0.3

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if len(self.channels) != 3:
            raise ConfigError(f"channels: expected three numbers, got {self.channels}")


class AudioEncoder(nn.Module):
    """A residual network over normalised log-mels, pooled by attention over time.

    A second branch takes plain statistics of each band: its mean, its spread and its mean step.
    Frames count by how loud they are, and little at the ends of a window; maps are smoothed over
    time before they are thinned out. So a window that is moved a little means the same.

    `head` classifies a single window. The encoder is trained and judged through it; DCET itself
    uses the features.
    """

    usual_mean: Tensor
    usual_square: Tensor
    ramp: Tensor

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.config = config
        first, last = config.channels[0], config.channels[-1]
        self.log_mel = LogMel()
        self.register_buffer("usual_mean", torch.full((MELS,), 0.3))
        self.register_buffer("usual_square", torch.full((MELS,), 0.15))
        place = torch.arange(STEPS - 2 * EDGE) + 0.5
        ramp = torch.minimum(place, place.flip(0)).div(RAMP).clamp_max(1)
        self.register_buffer("ramp", ramp, persistent=False)
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 5, 2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.stages = residual_stages(config.channels, first_stride=1, steady=True)
        bands = MELS // 2 ** len(config.channels)
        self.collapse = nn.Sequential(
            nn.Conv2d(last, last, (bands, 1), bias=False), nn.BatchNorm2d(last), nn.ReLU()
        )
        self.attention = nn.Conv1d(last, 1, 1)
        self.overall = nn.Sequential(
            nn.BatchNorm1d(3 * MELS),
            nn.Linear(3 * MELS, last),
            nn.GELU(),
            nn.Dropout(config.dropout),
        )
        self.features = nn.Sequential(
            nn.Linear(3 * last, config.width), nn.GELU(), nn.Dropout(config.dropout)
        )
        self.head = nn.Linear(config.width, len(EMOTIONS))

    def forward(self, pcm: Tensor, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the windows of one speaker and update their voice.

        pcm: (windows, 48000) in [-1, 1] at 16 kHz
        voice: (1, 3, 64), the sums over the speaker's earlier windows; zeros for none
        returns features (windows, width) and the voice with these windows in it
        """
        level = self.log_mel(pcm)
        return self.encode(level, voice), remember(voice, sums(level).sum(dim=0, keepdim=True))

    def encode(self, level: Tensor, voice: Tensor) -> Tensor:
        """Encode level (N, 64, 94) with voice (N or 1, 3, 64): features (N, width)."""
        frames, total, squares = (part.squeeze(1) for part in voice.split(1, dim=1))
        weight = frames + PRIOR_WINDOWS
        mean = (total + PRIOR_WINDOWS * self.usual_mean) / weight
        square = (squares + PRIOR_WINDOWS * self.usual_square) / weight
        spread = (square - mean * mean).clamp_min(1e-3).sqrt()
        heard = sounding(level)
        normed = (level - mean[..., None]) / spread[..., None] * heard
        normed, heard = (part[..., EDGE:-EDGE] for part in (normed, heard))
        # Where in the spectrum something is counts, so the bands are not averaged.
        smoothed = smooth(normed[:, None])
        x = self.collapse(self.stages(self.stem(smoothed))).squeeze(2).float()  # (N, C, 11)
        heard = heard * self.ramp
        # TensorRT pools in two dimensions or three.
        share = nn.functional.avg_pool2d(heard, (1, STRIDE))  # (N, 1, 11)
        weights = (self.attention(x) + torch.log(share + 1e-6)).softmax(dim=-1)
        mean = (x * weights).sum(dim=-1)
        spread = ((x - mean[..., None]).square() * weights).sum(dim=-1).add(1e-4).sqrt()
        overall = self.overall(overall_statistics(normed, heard))
        features: Tensor = self.features(torch.cat([mean, spread, overall], dim=1))
        return features


def encode_levels(encoder: AudioEncoder, level: Tensor, voice: Tensor) -> Tensor:
    """Encode any number of level (n, 64, 94) with voice (n, 3, 64), some at once: (n, width).

    What goes in may lie anywhere; what comes out lies where the encoder does.
    """
    parts = zip(level.split(AT_ONCE), voice.split(AT_ONCE), strict=True)
    device = device_of(encoder)
    return torch.cat([encoder.encode(*moved(part, device)) for part in parts])


def overall_statistics(normed: Tensor, weight: Tensor) -> Tensor:
    """Describe each band by mean, spread and mean step: (N, 192).

    normed: (N, 64, T); weight: (N, 1, T), of the frames
    """
    frames = weight.sum(dim=-1).clamp_min(1)
    mean = (normed * weight).sum(dim=-1) / frames
    spread = ((normed - mean[..., None]).square() * weight).sum(dim=-1) / frames
    steps = ((normed[..., 1:] - normed[..., :-1]).abs() * weight[..., 1:]).sum(dim=-1) / frames
    return torch.cat([mean, spread.add(1e-4).sqrt(), steps], dim=1)


def sounding(level: Tensor) -> Tensor:
    """Weigh the frames of (N, 64, 94): (N, 1, 94), 1 at the loudness, 0 where they are faint."""
    loudness = power_of(level).mean(dim=1, keepdim=True)
    faint, plain = (10 ** (db / 10) for db in (FAINT_DB, PLAIN_DB))
    rise = (torch.log10(loudness.clamp(faint, plain)) * 10 - FAINT_DB) / (PLAIN_DB - FAINT_DB)
    return (rise - 1e-5).clamp_min(0)  # silence is exactly 0


def sums(level: Tensor) -> Tensor:
    """Sum (N, 64, 94) over frames by weight: (N, 3, 64), their count, sum and sum of squares.

    All three are divided by the frames of a window.
    """
    weight = sounding(level)
    heard = level * weight
    counted = weight.sum(dim=-1).expand(-1, MELS)
    return torch.stack([counted, heard.sum(dim=-1), (heard * level).sum(dim=-1)], dim=1) / STEPS


def remember(voice: Tensor, new: Tensor) -> Tensor:
    """Add the `sums` of new windows to a voice, (N, 3, 64) both; the oldest speech fades."""
    following = voice + new
    return following * (REMEMBERED_WINDOWS / following[:, :1].clamp_min(REMEMBERED_WINDOWS))
