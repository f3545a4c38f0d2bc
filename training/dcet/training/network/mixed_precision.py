"""bfloat16 in training, where the device computes it faster than float."""

import timeit
from collections.abc import Callable
from functools import cache

import torch
from torch.nn.functional import linear

# By the names of `torch.cpu.get_capabilities`. Anywhere else bfloat16 is emulated, and a
# convolution takes ten times what it takes in float.
BF16_INSTRUCTIONS = ("amx_bf16", "bf16", "avx512_bf16")


def mixed_precision(device: torch.device, *, enabled: bool = True) -> torch.autocast:
    """Return a context in which matrix products and convolutions on `device` run in bfloat16.

    They run in float where the device has no instructions for it, or is slower with them.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.autocast("cuda", dtype=torch.bfloat16, enabled=enabled and native)
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled and bf16_pays())


@cache
def bf16_pays() -> bool:
    """Say whether this processor learns faster in bfloat16; measured once, in a tenth of a second.

    AVX-512's instructions alone do not say: of two processors that have them, a text encoder
    learned in 0.4 of the time on one, and in twice the time on the other.
    """
    capabilities = torch.cpu.get_capabilities()
    if not any(capabilities.get(name, False) for name in BF16_INSTRUCTIONS):
        return False
    with torch.inference_mode(False), torch.enable_grad():
        # No random numbers: a run would go on with others than one that did not measure.
        rows, weights = (torch.ones(n, 384, requires_grad=True) for n in (320, 1536))

        def learn(half: bool) -> None:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                linear(rows, weights).sum().backward()

        return _shortest_s(lambda: learn(True)) < _shortest_s(lambda: learn(False))


def _shortest_s(work: Callable[[], None], rounds: int = 10) -> float:
    return min(timeit.repeat(work, number=1, repeat=rounds))
