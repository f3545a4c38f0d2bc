"""Training computes in bfloat16 where the processor does, and nowhere else."""

import pytest
import torch

from dcet.training.device import CPU
from dcet.training.network.mixed_precision import mixed_precision


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx2": True, "avx512_bf16": False}, torch.float32),
        ({"avx512_f": True, "avx512_bf16": True}, torch.float32),  # which is faster there
        ({"avx512_bf16": True, "amx_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.bfloat16),
    ],
)
def test_bfloat16_where_the_processor_computes_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    layer = torch.nn.Linear(4, 4)
    with mixed_precision(CPU):
        assert layer(torch.ones(1, 4)).dtype == dtype
    with mixed_precision(CPU, enabled=False):
        assert layer(torch.ones(1, 4)).dtype == torch.float32
