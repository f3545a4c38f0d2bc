"""bfloat16 in training, where the processor computes it."""

import torch

# By the names of `torch.cpu.get_capabilities`. Anywhere else bfloat16 is emulated, and a
# convolution takes ten times what it takes in float.
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")


def mixed_precision(*, enabled: bool = True) -> torch.autocast:
    """Return a context in which matrix products and convolutions run in bfloat16.

    They run in float where the processor has no instructions for it.
    """
    capabilities = torch.cpu.get_capabilities()
    native = any(capabilities.get(name, False) for name in BF16_INSTRUCTIONS)
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled and native)
