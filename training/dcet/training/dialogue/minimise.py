"""The minimum of a smooth loss of a few numbers."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


@torch.enable_grad()
def minimise(loss: Callable[[], Tensor], parameters: Sequence[Tensor]) -> None:
    """Move `parameters`, in place, to where the loss that is made of them is least."""
    optimizer = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
