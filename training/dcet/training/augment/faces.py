"""Random corruption of faces, in batches; draws from torch's global generator."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

from dcet.runtime.arrays import FACE_PIXELS


def corrupt_faces(grey: Tensor) -> Tensor:
    """Rotate, move, mirror, darken, blur and hide parts of faces (N, 48, 48) in [0, 255]."""
    x = _turn(grey[:, None])
    gamma = torch.exp(0.6 * (torch.rand(len(x), 1, 1, 1) - 0.5) * 2)
    x = (x / 255).clamp(0, 1) ** gamma * 255
    for share, change in ((0.15, _coarsen), (0.15, _grain)):
        chosen = torch.rand(len(x)) < share
        if chosen.any():
            x[chosen] = change(x[chosen])
    return hide_patch(x[:, 0], 0.3)


def blur(grey: Tensor, passes: int) -> Tensor:
    """Smooth (N, h, w) by `passes` 3×3 boxes."""
    x = grey[:, None]
    for _ in range(passes):
        x = avg_pool2d(x, 3, 1, padding=1, count_include_pad=False)
    return x[:, 0]


def hide_patch(grey: Tensor, share: float) -> Tensor:
    """Put a patch of noise into a `share` of (N, h, w) (Zhong et al., AAAI 2020)."""
    patch = _rectangles(len(grey), 0.15, 0.45) & (torch.rand(len(grey)) < share)[:, None, None]
    return torch.where(patch, 255 * torch.rand_like(grey), grey)


def cover(grey: Tensor) -> Tensor:
    """Occlude (N, h, w) by a grainy rectangle, up to four fifths of each."""
    count = len(grey)
    plain, grain = 255 * torch.rand(count, 1, 1), 40 * torch.rand(count, 1, 1)
    front = (plain + grain * torch.randn_like(grey)).clamp(0, 255)
    return torch.where(_rectangles(count, 0.3, 0.9), front, grey)


def _rectangles(count: int, least: float, most: float) -> Tensor:
    """Draw a rectangle for each of `count` faces: bool (count, 48, 48).

    Its sides are between the shares `least` and `most` of the face's.
    """
    size = FACE_PIXELS * (least + (most - least) * torch.rand(count, 2))
    start = torch.rand(count, 2) * (FACE_PIXELS - size)
    place = torch.arange(FACE_PIXELS)
    inside = (place >= start[..., None]) & (place < (start + size)[..., None])  # (N, 2, 48)
    return inside[:, 0, :, None] & inside[:, 1, None, :]


def _turn(x: Tensor) -> Tensor:
    count = len(x)
    angle = math.radians(15) * (2 * torch.rand(count) - 1)
    reach = torch.where(torch.rand(count) < 0.5, 0.15, 0.35)
    scale = torch.exp(reach * (2 * torch.rand(count) - 1))
    mirrored = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    move = 0.16 * (2 * torch.rand(count, 2) - 1)
    theta = torch.stack(
        [
            torch.stack([scale * angle.cos() * mirrored, -scale * angle.sin(), move[:, 0]], dim=1),
            torch.stack([scale * angle.sin() * mirrored, scale * angle.cos(), move[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = affine_grid(theta, list(x.shape), align_corners=False)
    framed = grid_sample(x, grid, padding_mode="border", align_corners=False)
    black = torch.rand(count) < 0.25  # beyond the edge, as around a picture
    framed[black] = grid_sample(x[black], grid[black], padding_mode="zeros", align_corners=False)
    return framed


def _coarsen(x: Tensor) -> Tensor:
    """Lower the resolution to a third at worst, as from further away."""
    size = int(torch.randint(16, 37, ()))
    small = interpolate(x, size=(size, size), mode="bilinear", antialias=True)
    return interpolate(small, size=(FACE_PIXELS, FACE_PIXELS), mode="bilinear")


def _grain(x: Tensor) -> Tensor:
    return (x + 20 * torch.rand(len(x), 1, 1, 1) * torch.randn_like(x)).clamp(0, 255)
