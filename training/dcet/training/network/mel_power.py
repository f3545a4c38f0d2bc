"""The power of mel bands, as products of small matrices: TensorRT knows no DFT.

A DFT of rows · columns points is one of `rows`, a twist and one of `columns` (Cooley & Tukey, Math.
Comp. 1965): products of small matrices instead of one convolution that would cost fifteen times as
much. Sound is real, so that half of the first stage mirrors the other half.
"""

import torch
from torch import Tensor, nn


class MelPower(nn.Module):
    """A front end, which a subclass makes of the power in M bands.

    window: (rows · columns,) that frames are multiplied by
    filters: (rows · columns / 2 + 1, M), how much of each bin counts in each band
    """

    window: Tensor
    first_real: Tensor
    first_imag: Tensor
    twist_real: Tensor
    twist_imag: Tensor
    second_real: Tensor
    second_imag: Tensor
    mels: Tensor

    def __init__(self, rows: int, columns: int, window: Tensor, filters: Tensor) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        points = rows * columns
        row = torch.arange(rows, dtype=torch.float64)
        column = torch.arange(columns, dtype=torch.float64)
        half = row[: rows // 2 + 1]  # of the first stage's outputs: the rest mirrors them
        first = torch.outer(half, row) * (2 * torch.pi / rows)
        twist = torch.outer(half, column) * (2 * torch.pi / points)
        second = torch.outer(column, column) * (2 * torch.pi / columns)
        # Bin c + rows · d stands at (c, d) after the second stage. Beyond the last bin is the
        # mirror of one whose own place would be in the half that is left out.
        bins = half[:, None].long() + rows * column.long()
        has_place = (bins <= points // 2) | (bins % rows > 0) & (bins % rows < rows // 2)
        mels = filters[torch.minimum(bins, points - bins)] * has_place[..., None]
        for name, constant in (
            ("window", window),
            ("first_real", first.cos()),
            ("first_imag", -first.sin()),
            ("twist_real", twist.cos()),
            ("twist_imag", -twist.sin()),
            ("second_real", torch.cat([second.cos(), second.sin()])),  # real rows, then imaginary
            ("second_imag", torch.cat([-second.sin(), second.cos()])),
            ("mels", mels.flatten(0, 1)),
        ):
            # Known to the last bit without being stored, and not to be rounded to FP16.
            self.register_buffer(name, constant.float().contiguous(), persistent=False)

    def power(self, frames: Tensor) -> Tensor:
        """Return the power (n, M) of n frames (…, rows · columns)."""
        # Sample columns · a + b stands at (a, b).
        grid = (frames * self.window).reshape(-1, self.rows, self.columns)
        real, imag = self.first_real @ grid, self.first_imag @ grid  # (n, c, b) each
        twisted = torch.cat(
            [
                real * self.twist_real - imag * self.twist_imag,
                real * self.twist_imag + imag * self.twist_real,
            ],
            dim=2,
        )
        real, imag = twisted @ self.second_real, twisted @ self.second_imag  # (n, c, d) each
        power = (real * real + imag * imag).flatten(1)
        return power @ self.mels
