"""Training computes in bfloat16 where the processor does, and nowhere else."""

import time
from collections.abc import Iterator

import pytest
import torch

from dcet.training.device import CPU
from dcet.training.network import mixed_precision


@pytest.fixture(autouse=True)
def measured_anew() -> Iterator[None]:
    mixed_precision.bf16_pays.cache_clear()
    yield
    mixed_precision.bf16_pays.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "half_s", "float_s", "dtype"),
    [
        ({"avx2": True, "avx512_bf16": False}, 1.0, 2.0, torch.float32),  # it would be emulated
        ({"avx512_f": True, "avx512_bf16": True}, 1.5, 0.8, torch.float32),
        ({"avx512_f": True, "avx512_bf16": True}, 0.2, 0.5, torch.bfloat16),
        ({"avx512_bf16": True, "amx_bf16": True}, 1.0, 2.0, torch.bfloat16),
        ({"neon": True, "bf16": True}, 1.0, 2.0, torch.bfloat16),
    ],
)
def test_bfloat16_where_the_processor_is_faster_with_it(
    monkeypatch: pytest.MonkeyPatch,
    capabilities: dict[str, bool],
    half_s: float,
    float_s: float,
    dtype: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    times = iter([half_s, float_s])
    monkeypatch.setattr(mixed_precision, "_shortest_s", lambda work: next(times))
    layer = torch.nn.Linear(4, 4)
    for _ in range(2):  # it is measured once
        with mixed_precision.mixed_precision(CPU):
            assert layer(torch.ones(1, 4)).dtype == dtype
        with mixed_precision.mixed_precision(CPU, enabled=False):
            assert layer(torch.ones(1, 4)).dtype == torch.float32


def test_what_is_measured_is_the_shortest_of_several_rounds() -> None:
    pauses = iter([0.02, 0.0, 0.01])
    shortest_s = mixed_precision._shortest_s(lambda: time.sleep(next(pauses)), rounds=3)
    assert shortest_s < 0.01


def test_no_random_number_is_drawn_to_measure() -> None:
    before = torch.get_rng_state()
    with torch.inference_mode():  # where networks are judged
        mixed_precision.bf16_pays()
    assert torch.equal(torch.get_rng_state(), before)
