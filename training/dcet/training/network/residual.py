"""Residual blocks, which the audio and the face encoder are built of."""

from collections.abc import Sequence

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a way around them (He et al., CVPR 2016)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels_in, h, w) to (N, channels_out, h / stride, w / stride)."""
        summed: Tensor = self.residual(x) + self.shortcut(x)
        return summed.relu()


def residual_stages(channels: Sequence[int], first_stride: int) -> nn.Sequential:
    """Stack two blocks per number of channels; every stage but the first halves the image."""
    blocks: list[nn.Module] = []
    for stage, (before, after) in enumerate(zip((channels[0], *channels), channels, strict=False)):
        blocks.append(ResidualBlock(before, after, first_stride if stage == 0 else 2))
        blocks.append(ResidualBlock(after, after))
    return nn.Sequential(*blocks)
