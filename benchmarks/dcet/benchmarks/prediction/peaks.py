"""The peaks of this machine's processor: arithmetic and memory, each the best of many tries.

torch stands for the machine, not for an engine: its matrix products and sums come near the peak,
in one of the libraries that it is built with.
"""

import time
from collections.abc import Callable, Collection
from typing import Any

from dcet.benchmarks.prediction.roofline import Roof
from dcet.runtime.extras import need

SIDE = 1024  # of the square matrices: large enough for the peak
SMALLEST_BYTES = 2**20  # of what is read: with less, the call itself would be measured
TRY_FOR_S = 0.2
LAUNCH_US = 1.0  # a call of a function that finds its arguments in a table


def measure_roof(
    *, threads: int, arithmetic: Collection[str], weight_bytes: int, activation_bytes: int
) -> Roof:
    """Measure the peaks on so many threads, in these types, with working sets of these sizes.

    arithmetic: fp32, bf16 or int8
    weight_bytes: read again and again, as a graph's weights are
    activation_bytes: read and written, as what a kernel takes and gives

    Raises MissingExtra without torch.
    """
    torch = need("torch", extra="export")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            weights = torch.ones(max(SMALLEST_BYTES, weight_bytes) // 4)
            source = torch.ones(max(SMALLEST_BYTES, activation_bytes) // 8)
            result = torch.empty_like(source)
            return Roof(
                flops_per_s={kind: _flops_per_s(torch, kind) for kind in arithmetic},
                weight_bytes_per_s=weights.nbytes / _best_s(weights.sum),
                activation_bytes_per_s=2 * source.nbytes / _best_s(lambda: result.copy_(source)),
                launch_us=LAUNCH_US,
            )
    finally:
        torch.set_num_threads(before)


def better(first: Roof, second: Roof) -> Roof:
    """Take the higher of two measurements: what disturbs a measurement only lowers it."""
    return Roof(
        flops_per_s={
            kind: max(value, second.flops_per_s[kind]) for kind, value in first.flops_per_s.items()
        },
        weight_bytes_per_s=max(first.weight_bytes_per_s, second.weight_bytes_per_s),
        activation_bytes_per_s=max(first.activation_bytes_per_s, second.activation_bytes_per_s),
        launch_us=first.launch_us,
    )


def _flops_per_s(torch: Any, arithmetic: str) -> float:
    """Measure the product of two matrices; a multiplication and an addition are 2."""
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}[arithmetic]
    matrix = torch.ones(SIDE, SIDE, dtype=kind)
    if arithmetic == "int8":
        products = [lambda: torch._int_mm(matrix, matrix)]
    else:
        products = [lambda: torch.mm(matrix, matrix)]
        if torch.backends.mkldnn.is_available() and (
            arithmetic != "bf16" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        ):
            # On AMD processors with AVX-512, mm had half of their peak: MKL does not use it there.
            laid_out = matrix.to_mkldnn()
            products.append(lambda: torch.ops.aten.mkldnn_linear(laid_out, matrix))
    return 2 * SIDE**3 / min(map(_best_s, products))


def _best_s(run: Callable[[], object]) -> float:
    best = float("inf")
    until_s = time.perf_counter() + TRY_FOR_S
    while (started := time.perf_counter()) < until_s:
        run()
        best = min(best, time.perf_counter() - started)
    return best
