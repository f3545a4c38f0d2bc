"""The face encoder: RGB crops of any size in, one vector per face out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dcet.runtime.arrays import FACE_PIXELS, LUMA
from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import EMOTIONS
from dcet.training.device import device_of
from dcet.training.network.residual import residual_stages
from dcet.training.settings import Count, Settings, Share

AT_ONCE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceConfig(Settings):
    """The shape of the face encoder."""

    channels: Sequence[Count] = (32, 64, 128)
    blocks: Sequence[Count] | None = None  # of each number of channels; two where there is none
    width: Count = 128
    dropout: Share = 0.3

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if not self.channels:
            raise ConfigError("channels: expected at least one number, got none")
        if len(self.depths) != len(self.channels):
            raise ConfigError(
                f"blocks: expected a number for each of {len(self.channels)} channels, got "
                f"{len(self.depths)}"
            )

    @property
    def depths(self) -> Sequence[int]:
        """The number of blocks of each stage."""
        return (2,) * len(self.channels) if self.blocks is None else self.blocks


class FaceEncoder(nn.Module):
    """A residual network over grey faces, each standardised by its own mean and spread.

    `head` classifies a single face. The encoder is trained and judged through it; DCET itself
    uses the features.
    """

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.config = config
        first, last = config.channels[0], config.channels[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.stages = residual_stages(config.channels, first_stride=2, blocks=config.depths)
        self.features = nn.Sequential(
            nn.Linear(last, config.width), nn.GELU(), nn.Dropout(config.dropout)
        )
        self.head = nn.Linear(config.width, len(EMOTIONS))

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode crops, pixels (N, h, w, 3) uint8 RGB: features (N, width)."""
        lines = pixels.float().flatten(2)
        # Their mean goes anyway. Most of it first, and bfloat16 keeps eight bits of the contrast.
        lines = lines - lines[:, lines.shape[1] // 2].mean(dim=1)[:, None, None]
        return self.encode(_scale(lines))

    def encode(self, grey: Tensor) -> Tensor:
        """Encode grey (N, 48, 48) on a scale of 255, with any offset: features (N, width)."""
        mean = grey.mean(dim=(1, 2), keepdim=True)
        spread = (grey - mean).square().mean(dim=(1, 2), keepdim=True).sqrt()
        x = self.stem(((grey - mean) / (spread + 4))[:, None])  # 4: a dark wall is no face
        features: Tensor = self.features(self.stages(x).mean(dim=(2, 3)))
        return features


def to_grey(pixels: Tensor) -> Tensor:
    """Scale pixels (N, h, w, 3) uint8 RGB to grey (N, 48, 48) in [0, 255]."""
    return _scale(pixels.float().flatten(2))


def _scale(lines: Tensor) -> Tensor:
    """Scale lines (N, h, 3 w), red, green and blue of each pixel, to grey (N, 48, 48).

    Bilinear and antialiased, as Pillow does it.

    Two products with matrices that depend on the size alone: no engine's own resizing, of which
    each rounds differently. The one over the columns mixes the colours too, which lie next to each
    other in a row: a product over three channels alone would take an engine longer than all the
    convolutions, and so does picking every third byte.
    """
    _, height, bytes_wide = lines.shape
    columns = _triangles(bytes_wide // 3, lines.device)
    luma = torch.tensor(LUMA.tolist(), device=lines.device)  # tracing an array adds a Cast
    mixing = (columns[..., None] * luma).flatten(1)
    return _triangles(height, lines.device) @ (lines @ mixing.transpose(0, 1))


def _triangles(length: int, device: torch.device) -> Tensor:
    """Return the weights (48, length) of a line's pixels in each pixel of the result.

    Distances are whole numbers, of which 96 or twice the length are one pixel: in bfloat16 places
    beyond 256 would be the same.
    """
    source = torch.arange(length, dtype=torch.int32, device=device) * 2 + 1
    target = torch.arange(FACE_PIXELS, dtype=torch.int32, device=device) * 2 + 1
    distance = (source[None] * FACE_PIXELS - target[:, None] * length).abs()
    reach = torch.sym_max(length, FACE_PIXELS) * 2
    weights: Tensor = (1 - distance.float() / reach).clamp_min(0)
    return weights / weights.sum(dim=1, keepdim=True)


def encode_grey(encoder: FaceEncoder, grey: Tensor) -> Tensor:
    """Encode any number of grey faces (n, 48, 48) in [0, 255], some at once: (n, width).

    What goes in may lie anywhere; what comes out lies where the encoder does.
    """
    device = device_of(encoder)
    return torch.cat([encoder.encode(part.to(device).float()) for part in grey.split(AT_ONCE)])
