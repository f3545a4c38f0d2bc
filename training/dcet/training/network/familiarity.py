"""How familiar features look: how far they lie from those that the fusion was trained on.

The distance is the Mahalanobis distance of probabilistic principal components (Tipping & Bishop,
J. R. Stat. Soc. B 1999): half of the directions, at most 64, with their own variance, and one
variance for the rest, in which what was never seen shows most. It is taken between features of
length 1: what an encoder makes little of has short ones, near the mean of all.
"""

import torch
from torch import Tensor, nn

DIRECTIONS = 64
LEAST = 1e-7  # variance
USUAL = 0.95  # share of known examples that are as familiar as can be


class Familiarity(nn.Module):
    """Features (B, n, width) of which a mask (B, n) says which are there: (B, 1) in [0, 1].

    1 up to the distance of 95 % of known examples, then the inverse of the squared distance in that
    unit. Before `fit` everything is familiar.
    """

    mean: Tensor
    scale: Tensor
    directions: Tensor
    axes: Tensor  # (width, m), the directions at length 1
    precision: Tensor  # (m,), along each of them

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        # Square roots, which float16 holds: of the rest's precision, and of how much less it is in
        # each of the directions.
        self.register_buffer("scale", torch.zeros(1))
        self.register_buffer("directions", torch.zeros(width, min(DIRECTIONS, width // 2)))
        self.register_buffer("axes", torch.zeros_like(self.directions), persistent=False)
        self.register_buffer("precision", torch.zeros(self.directions.shape[1]), persistent=False)
        self.register_load_state_dict_post_hook(_find_axes)  # type: ignore[no-untyped-call]

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        each = 1 / self._distance(features).clamp_min(1)
        count = mask.sum(dim=1, keepdim=True)
        mean = (each * mask).sum(dim=1, keepdim=True) / count.clamp_min(1)
        # Nothing is as familiar as can be.
        return mean + (1 - count.clamp_max(1))

    def _distance(self, features: Tensor) -> Tensor:
        """Return the squared distance from the mean, 1 where known examples end.

        What lies along the axes is taken out before anything is squared: the difference of two
        sums of squares is less than the eight bits of bfloat16 lose of either.
        """
        apart = _of_length_one(features) - self.mean
        along = apart @ self.axes
        rest = (apart - along @ self.axes.T) * self.scale
        distance: Tensor = rest.square().sum(dim=-1) + (along.square() * self.precision).sum(dim=-1)
        return distance

    @torch.no_grad()
    def find_axes(self) -> None:
        """Derive the axes and their precision, which are not stored, from what is."""
        less = self.directions.square().sum(dim=0)
        self.axes.copy_(self.directions * less.clamp_min(LEAST).rsqrt())
        self.precision.copy_((self.scale.square() - less).clamp_min(0))

    @torch.no_grad()
    def fit(self, features: Tensor, known: Tensor) -> None:
        """Learn the features (m, width) of training, and of examples kept aside (k, width) how far
        away is still usual."""
        features, known = (part.to(self.mean.device) for part in (features, known))
        directed = _of_length_one(features)
        self.mean.copy_(directed.mean(dim=0))
        apart = directed - self.mean
        count, width = apart.shape
        variance, vectors = torch.linalg.eigh(apart.T @ apart / count)  # ascending
        first = width - self.directions.shape[1]
        rest = 1 / variance[:first].mean().clamp_min(LEAST)
        less = rest - 1 / variance[first:].clamp_min(LEAST)
        self.scale.copy_(rest.sqrt())
        self.directions.copy_(vectors[:, first:] * less.clamp_min(0).sqrt())
        self.find_axes()
        farthest = self._distance(known).quantile(USUAL).clamp_min(LEAST).sqrt()
        self.scale.div_(farthest)
        self.directions.div_(farthest)
        self.find_axes()


def _find_axes(familiarity: Familiarity, missing: object) -> None:
    """Do as `Familiarity.find_axes` once weights are loaded."""
    familiarity.find_axes()


def _of_length_one(features: Tensor) -> Tensor:
    return features * (features.square().sum(dim=-1, keepdim=True) + 1e-6).rsqrt()
