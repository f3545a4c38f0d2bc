"""Stands in for cuda.bindings.runtime: "device" memory is this process's own.

Nothing that is asked asynchronously happens before the stream is waited for, so that whoever
forgets to wait, or reuses memory too early, fails here as on a device. DCET_FAKE_CUDA says what is
different: `eager` (nothing waits), `no device`, `out of memory`, `no copies` (from
its memory to its memory). DCET_FAKE_GPU names the device, which has DCET_FAKE_MULTIPROCESSORS.
"""

import ctypes
import itertools
import os
import threading
from collections.abc import Callable
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

cudaStreamNonBlocking = 1


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorNoDevice = 100


class cudaMemcpyKind(IntEnum):
    cudaMemcpyDefault = 4


SUCCESS = cudaError_t.cudaSuccess
ALIGNMENT = 256

allocated: dict[int, tuple[int, Any]] = {}  # size and what keeps it, by address
pinned: set[int] = set()  # addresses of the host's
streams: dict[int, list[Callable[[], None]]] = {}
calls: dict[str, int] = {}
_handles = itertools.count(1)
_in_order = threading.RLock()


def mode() -> str:
    return os.environ.get("DCET_FAKE_CUDA", "")


def is_allocated(address: int, size_bytes: int) -> bool:
    return any(
        begin <= address and address + size_bytes <= begin + size
        for begin, (size, _) in allocated.items()
    )


def enqueue(stream: int, work: Callable[[], None]) -> None:
    streams[int(stream)].append(work)
    if mode() == "eager":
        cudaStreamSynchronize(stream)


def cudaMalloc(size: int) -> tuple[cudaError_t, int | None]:
    if mode() == "no device":
        return cudaError_t.cudaErrorNoDevice, None
    if mode() == "out of memory":
        return cudaError_t.cudaErrorMemoryAllocation, None
    memory = (ctypes.c_uint8 * (size + ALIGNMENT))()
    ctypes.memset(memory, 0xA5, len(memory))  # as another program may leave it
    address = -(-ctypes.addressof(memory) // ALIGNMENT) * ALIGNMENT
    allocated[address] = (size, memory)
    return SUCCESS, address


def cudaMallocHost(size: int) -> tuple[cudaError_t, int | None]:
    status, address = cudaMalloc(size)
    if address is not None:
        pinned.add(address)
    return status, address


def cudaFree(address: int) -> tuple[cudaError_t]:
    pinned.discard(address)
    return (SUCCESS if allocated.pop(address, None) else cudaError_t.cudaErrorInvalidValue,)


cudaFreeHost = cudaFree


def cudaMemcpyAsync(
    dst: int, src: int, count: int, kind: cudaMemcpyKind, stream: int
) -> tuple[cudaError_t]:
    if not (is_allocated(dst, count) and is_allocated(src, count)):
        return (cudaError_t.cudaErrorInvalidValue,)
    if mode() == "no copies" and not pinned & {dst, src}:
        return (cudaError_t.cudaErrorInvalidValue,)
    enqueue(stream, lambda: (ctypes.memmove(dst, src, count), None)[1])
    return (SUCCESS,)


def cudaMemsetAsync(address: int, value: int, count: int, stream: int) -> tuple[cudaError_t]:
    if not is_allocated(address, count):
        return (cudaError_t.cudaErrorInvalidValue,)
    enqueue(stream, lambda: (ctypes.memset(address, value, count), None)[1])
    return (SUCCESS,)


def cudaStreamCreateWithFlags(flags: int) -> tuple[cudaError_t, int | None]:
    if mode() == "no device":
        return cudaError_t.cudaErrorNoDevice, None
    handle = next(_handles)
    streams[handle] = []
    return SUCCESS, handle


def cudaStreamDestroy(stream: int) -> tuple[cudaError_t]:
    del streams[stream]
    return (SUCCESS,)


def cudaStreamSynchronize(stream: int) -> tuple[cudaError_t]:
    queue = streams[int(stream)]
    with _in_order:
        while queue:
            queue.pop(0)()
    return (SUCCESS,)


def cudaGetDeviceProperties(device: int) -> tuple[cudaError_t, Any]:
    if mode() == "no device":
        return cudaError_t.cudaErrorNoDevice, None
    name = os.environ.get("DCET_FAKE_GPU", "Orin")
    count = int(os.environ.get("DCET_FAKE_MULTIPROCESSORS", "8"))
    return SUCCESS, SimpleNamespace(name=name.encode(), major=8, minor=7, multiProcessorCount=count)


def cudaRuntimeGetVersion() -> tuple[cudaError_t, int]:
    return SUCCESS, 12060


def cudaDriverGetVersion() -> tuple[cudaError_t, int]:
    return SUCCESS, 12060


def cudaGetErrorString(error: cudaError_t) -> tuple[cudaError_t, bytes]:
    return SUCCESS, error.name.encode()
