"""A compiled torch program, run as it is or as a CUDA graph. Both take and give NumPy arrays."""

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

WARM_UP_RUNS = 3  # before it is captured: what is set up once may not be set up then


class Program(Protocol):
    """A program that maps inputs in the graph's order to outputs in theirs, the caller's own."""

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]: ...


class PlainProgram:
    """A program that runs as it is, for any shape that it was compiled for."""

    def __init__(self, torch: Any, package: Any, device: str) -> None:
        self._torch, self._package, self._device = torch, package, device

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        inputs = [self._torch.tensor(array, device=self._device) for array in arrays]
        return [output.cpu().numpy() for output in self._package(*inputs)]


class CapturedProgram:
    """A program whose kernels are launched at once; its inputs and outputs have fixed places.

    Host memory is pinned, so that copies do not wait. Nothing of a run stays at these places.
    """

    def __init__(self, torch: Any, package: Any, examples: Sequence[NDArray[Any]]) -> None:
        self._torch = torch
        self._lock = threading.Lock()
        self._inputs = [torch.tensor(array, device="cuda") for array in examples]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_RUNS):
                package(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = list(package(*self._inputs))
        self._given, self._got = (
            [torch.zeros(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors]
            for tensors in (self._inputs, self._outputs)
        )
        self._package = package  # the graph runs in its memory

    def __call__(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        with self._lock:
            for array, given, place in zip(arrays, self._given, self._inputs, strict=True):
                given.numpy()[...] = array
                place.copy_(given, non_blocking=True)
            self._graph.replay()
            for place, got in zip(self._outputs, self._got, strict=True):
                got.copy_(place, non_blocking=True)
            self._torch.cuda.current_stream().synchronize()
            outputs = [got.numpy().copy() for got in self._got]
            for tensor in (*self._given, *self._got, *self._inputs, *self._outputs):
                tensor.zero_()
            return outputs
