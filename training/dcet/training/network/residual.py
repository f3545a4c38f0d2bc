"""Residual blocks, which the audio and the face encoder are built of."""

from collections.abc import Sequence

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a way around them (He et al., CVPR 2016).

    A `steady` one smooths along the width before it leaves out every other place, so that what is
    moved by a place comes out nearly the same (Zhang, ICML 2019).
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, *, steady: bool = False
    ) -> None:
        super().__init__()
        self.smooths = steady and stride > 1
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
        if self.smooths:
            x = smooth(x)
        summed: Tensor = self.residual(x) + self.shortcut(x)
        return summed.relu()


def residual_stages(
    channels: Sequence[int],
    first_stride: int,
    *,
    blocks: Sequence[int] = (2, 2, 2),
    steady: bool = False,
) -> nn.Sequential:
    """Stack `blocks` of each number of channels; every stage but the first halves the image."""
    stacked: list[nn.Module] = []
    before = channels[0]
    for stage, (after, count) in enumerate(zip(channels, blocks, strict=True)):
        stride = first_stride if stage == 0 else 2
        stacked.append(ResidualBlock(before, after, stride, steady=steady))
        stacked += [ResidualBlock(after, after) for _ in range(count - 1)]
        before = after
    return nn.Sequential(*stacked)


def smooth(x: Tensor) -> Tensor:
    """Average (N, C, h, w) over neighbours along the width, with weights 1, 2, 1; zeros outside."""
    pairs = nn.functional.avg_pool2d(x, (1, 2), stride=1, padding=(0, 1))
    return nn.functional.avg_pool2d(pairs, (1, 2), stride=1)
