"""The least time that a graph takes, from what it costs and what a machine can do at most.

The roofline of Williams, Waterman and Patterson (CACM 2009), kernel by kernel: each takes as
long as its arithmetic at the peak or its bytes at the bandwidth, whichever is longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class KernelCost(Protocol):
    """The cost of a kernel, as `dcet.quantization.graph_cost` counts it."""

    @property
    def flops(self) -> Mapping[str, int]:
        """Floating-point operations, by the type of the arithmetic."""

    @property
    def weight_bytes(self) -> int: ...

    @property
    def activation_bytes(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Roof:
    """The peaks of a machine."""

    flops_per_s: Mapping[str, float]  # by the type of the arithmetic
    weight_bytes_per_s: float
    activation_bytes_per_s: float
    launch_us: float  # assumed: what starting a kernel costs


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Predicted, not measured."""

    arithmetic_ms: float  # of the kernels whose arithmetic takes longer than their bytes
    memory_ms: float  # of the others
    launch_ms: float

    @property
    def limit_ms(self) -> float:
        """The time without launches; an engine that runs kernel by kernel is not faster."""
        return self.arithmetic_ms + self.memory_ms

    @property
    def latency_ms(self) -> float:
        return self.limit_ms + self.launch_ms


def predict(
    kernels: Sequence[KernelCost], roof: Roof, *, float_type: str | None = None
) -> Prediction:
    """Predict one run of a graph of these kernels, one after the other.

    float_type: in what everything but int8 is computed; None: in what the graph says
    """
    arithmetic_s = memory_s = 0.0
    for kernel in kernels:
        computing_s = sum(
            count / roof.flops_per_s[kind if kind == "int8" else float_type or kind]
            for kind, count in kernel.flops.items()
        )
        moving_s = (
            kernel.weight_bytes / roof.weight_bytes_per_s
            + kernel.activation_bytes / roof.activation_bytes_per_s
        )
        if computing_s > moving_s:
            arithmetic_s += computing_s
        else:
            memory_s += moving_s
    return Prediction(
        arithmetic_ms=1000 * arithmetic_s,
        memory_ms=1000 * memory_s,
        launch_ms=len(kernels) * roof.launch_us / 1000,
    )
