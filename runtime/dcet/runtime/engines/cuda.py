"""The first CUDA device: its memory, and a stream on which its work happens in order."""

import ctypes
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.engines.loaded import check_process
from dcet.runtime.errors import EngineError
from dcet.runtime.extras import need

ALIGNMENT = 256  # bytes; TensorRT asks for as much
_SUCCESS = 0
_OUT_OF_MEMORY = 2
_TEGRA = Path("/etc/nv_tegra_release")
_DRIVER = Path("/proc/driver/nvidia/version")
_BOARD = Path("/proc/device-tree/model")  # every Orin's GPU has the same name


def aligned(size_bytes: int) -> int:
    """Round a size up to a multiple of ALIGNMENT."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def load_cuda() -> Any:
    """Import cuda.bindings.runtime. Raises MissingExtra or EngineError."""
    try:
        return need("cuda.bindings.runtime", extra="cuda")
    except ModuleNotFoundError as error:
        raise EngineError(
            f"expected cuda-bindings 12.6 or later, got an older cuda ({error}); "
            "run: pip install --upgrade cuda-bindings"
        ) from error


def cuda_platform() -> dict[str, str]:
    """Name the device, and the versions of what drives it. Raises MissingExtra or EngineError."""
    runtime = load_cuda()
    properties = ask(runtime, "cudaGetDeviceProperties", 0)
    name = properties.name.decode() if isinstance(properties.name, bytes) else properties.name
    count = properties.multiProcessorCount
    found = {
        "gpu": f"{name} (sm_{properties.major}{properties.minor}, {count} multiprocessors)",
        "cuda": _version(ask(runtime, "cudaRuntimeGetVersion")),
        "cuda of the driver": _version(ask(runtime, "cudaDriverGetVersion")),
    }
    return found | driver_platform()


def driver_platform() -> dict[str, str]:
    """Name the board, where the system knows it, and the driver."""
    files = {"board": _BOARD, "l4t": _TEGRA, "driver": _DRIVER}
    return {
        name: path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\0")
        for name, path in files.items()
        if path.exists()
    }


def ask(runtime: Any, function: str, *arguments: Any) -> Any:
    """Call a function of the CUDA runtime, and return what it gives. Raises EngineError."""
    status, *values = getattr(runtime, function)(*arguments)
    if int(status) == _OUT_OF_MEMORY:
        raise EngineError(
            f"the CUDA device is out of memory ({function}); end what else uses it, and try again"
        )
    if int(status) != _SUCCESS:
        _, text = runtime.cudaGetErrorString(status)
        text = text.decode() if isinstance(text, bytes) else text
        raise EngineError(f"{function} failed: {text}; check the device with nvidia-smi")
    return values[0] if values else None


class Block:
    """Zeroed memory of the device; zeroed again and freed with this object."""

    def __init__(self, cuda: "Cuda", size_bytes: int) -> None:
        self.address: int = int(cuda.ask("cudaMalloc", size_bytes))
        self.size_bytes = size_bytes
        weakref.finalize(self, _release, cuda, self.address, size_bytes)
        cuda.clear(self.address, size_bytes)
        cuda.wait()


class Pinned:
    """Zeroed memory of the host that the device can read and write by itself."""

    def __init__(self, cuda: "Cuda", size_bytes: int) -> None:
        self.address: int = int(cuda.ask("cudaMallocHost", size_bytes))
        weakref.finalize(self, cuda.free, "cudaFreeHost", self.address)
        self.bytes: NDArray[np.uint8] = np.ctypeslib.as_array(
            (ctypes.c_uint8 * size_bytes).from_address(self.address)
        )
        self.bytes.fill(0)


class Cuda:
    """A stream of the device. Every call returns at once, but for `wait`.

    Raises EngineError where a call fails. In a forked child, which has no part in the device, all
    do, and nothing is freed.
    """

    def __init__(self) -> None:
        self._runtime = load_cuda()
        self._process = os.getpid()
        stream = self.ask("cudaStreamCreateWithFlags", self._runtime.cudaStreamNonBlocking)
        self.stream = int(stream)
        weakref.finalize(
            self, _free, self._runtime, self._process, "cudaStreamDestroy", self.stream
        )

    def ask(self, function: str, *arguments: Any) -> Any:
        """Call a function of the CUDA runtime, and return what it gives."""
        check_process(self._process)
        return ask(self._runtime, function, *arguments)

    def free(self, function: str, address: int) -> None:
        """Give back memory by this function, where this process owns it."""
        _free(self._runtime, self._process, function, address)

    @property
    def is_inherited(self) -> bool:
        """True where this process was forked from the one that opened the device."""
        return os.getpid() != self._process

    def copy(self, to: int, source: int, size_bytes: int) -> None:
        """Copy between any two addresses, of the device or pinned."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDefault
        self.ask("cudaMemcpyAsync", to, source, size_bytes, kind, self.stream)

    def clear(self, address: int, size_bytes: int) -> None:
        """Zero memory of the device."""
        self.ask("cudaMemsetAsync", address, 0, size_bytes, self.stream)

    def wait(self) -> None:
        """Wait until everything that was asked is done."""
        self.ask("cudaStreamSynchronize", self.stream)


def _free(runtime: Any, process: int, function: str, address: int) -> None:
    if os.getpid() == process:
        ask(runtime, function, address)


def _release(cuda: Cuda, address: int, size_bytes: int) -> None:
    if cuda.is_inherited:
        return
    cuda.clear(address, size_bytes)  # the next to get this memory may read it
    cuda.wait()
    cuda.ask("cudaFree", address)


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
