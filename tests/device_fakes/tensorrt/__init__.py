"""Stands in for TensorRT 10 and 11: a "plan" is the ONNX file, and ONNX Runtime runs it.

It reads and writes the memory that it is given the addresses of, when the stream gets to it.
DCET_FAKE_TENSORRT says what goes wrong: `refuse` (to parse), `fail` (to build), `crash`, `hang`,
`full disk`, `exhausted` (killed for memory), `wrong` (what is built is off), `crash at load`,
`no library`. DCET_FAKE_TENSORRT_VERSION is its version; a build that hangs writes its process's
number to DCET_FAKE_MARKER.
"""

import ctypes
import json
import os
import resource
import signal
import time
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from cuda.bindings import runtime as cuda
from numpy.typing import NDArray

__version__ = os.environ.get("DCET_FAKE_TENSORRT_VERSION", "10.3.0")


def fault() -> str:
    return os.environ.get("DCET_FAKE_TENSORRT", "")


if fault() == "no library":
    raise ImportError("libnvinfer.so.10: cannot open shared object file")


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(IntEnum):
    TF32 = 7


class TensorIOMode(IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class DataType(IntEnum):
    FLOAT = 1
    UINT8 = 2
    INT32 = 6


def nptype(dtype: DataType) -> type:
    kinds: dict[DataType, type] = {
        DataType.FLOAT: np.float32,
        DataType.UINT8: np.uint8,
        DataType.INT32: np.int32,
    }
    return kinds[dtype]


class ILogger:
    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity: "ILogger.Severity", msg: str) -> None:
        raise NotImplementedError


class Logger(ILogger):
    ERROR = ILogger.Severity.ERROR
    WARNING = ILogger.Severity.WARNING


class TimingCache:
    def __init__(self, data: bytes) -> None:
        self.kernels: dict[str, Any] = (
            json.loads(data) if data else {"device": _device(), "known": []}
        )

    def serialize(self) -> memoryview:
        return memoryview(json.dumps(self.kernels).encode())


def _device() -> str:
    return f"{__version__} {os.environ.get('DCET_FAKE_GPU', 'Orin')}"


class BuilderConfig:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.profiles: list[OptimizationProfile] = []
        self.cache = TimingCache(b"")

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: "OptimizationProfile") -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache | None:
        try:
            return TimingCache(serialized_timing_cache)
        except ValueError:
            return None

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        if cache.kernels["device"] != _device() and not ignore_mismatch:
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> TimingCache:
        return self.cache


class OptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[list[int], ...]] = {}

    def set_shape(
        self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]
    ) -> None:
        self.shapes[input] = (list(min), list(opt), list(max))


class NetworkDefinition:
    def __init__(self, flags: int) -> None:
        self.is_strongly_typed = bool(flags >> NetworkDefinitionCreationFlag.STRONGLY_TYPED & 1)
        self.model = b""


class ParserError:
    def __str__(self) -> str:
        return "In node 3 (importFallbackPluginImporter): UNSUPPORTED_NODE: no importer"


class OnnxParser:
    def __init__(self, network: NetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self.num_errors = 0

    def parse(self, model: bytes, path: str | None = None) -> bool:
        if fault() == "refuse":
            self.num_errors = 1
            return False
        self._network.model = bytes(model)
        return True

    def get_error(self, index: int) -> ParserError:
        return ParserError()


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> NetworkDefinition:
        return NetworkDefinition(flags)

    def create_builder_config(self) -> BuilderConfig:
        return BuilderConfig()

    def create_optimization_profile(self) -> OptimizationProfile:
        return OptimizationProfile()

    def build_serialized_network(
        self, network: NetworkDefinition, config: BuilderConfig
    ) -> memoryview | None:
        graph = onnx.load_from_string(network.model).graph
        self._logger.log(ILogger.Severity.WARNING, f"building {graph.name} with {fault()!r}")
        if not network.is_strongly_typed:
            self._logger.log(ILogger.Severity.ERROR, "the network is weakly typed")
            return None
        _misbehave(graph.name)
        if fault() == "fail":
            self._logger.log(ILogger.Severity.ERROR, f"no kernel for {graph.node[0].op_type}")
            return None
        varies = [tensor.name for tensor in graph.input if -1 in _shape(tensor)]
        shapes = config.profiles[0].shapes if config.profiles else {}
        if varies != [name for name in varies if name in shapes]:
            self._logger.log(ILogger.Severity.ERROR, f"no profile for {varies}")
            return None
        config.cache.kernels["known"].append(graph.name)
        header = {"version": __version__, "shapes": shapes, "is_wrong": fault() == "wrong"}
        return memoryview(json.dumps(header).encode() + b"\0" + network.model)


def _misbehave(name: str) -> None:
    if fault() == "crash":
        os.abort()
    if fault() == "exhausted":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault() == "hang":
        Path(os.environ["DCET_FAKE_MARKER"]).write_text(str(os.getpid()), encoding="utf-8")
        time.sleep(600)
    if fault() == "full disk":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


def _shape(tensor: Any) -> list[int]:
    dimensions = tensor.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") else -1 for d in dimensions]


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "CudaEngine | None":
        if fault() == "crash at load":
            os.abort()
        header, _, model = bytes(serialized_engine).partition(b"\0")
        if json.loads(header)["version"] != __version__:
            self._logger.log(ILogger.Severity.ERROR, "the plan is of another version")
            return None
        return CudaEngine(json.loads(header), model)


class CudaEngine:
    def __init__(self, header: dict[str, Any], model: bytes) -> None:
        graph = onnx.load_from_string(model).graph
        self.header = header
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.inputs: dict[str, Any] = {tensor.name: tensor for tensor in graph.input}
        self.outputs: dict[str, Any] = {tensor.name: tensor for tensor in graph.output}
        self._all = {**self.inputs, **self.outputs}
        self.num_io_tensors = len(self._all)

    def create_execution_context(self) -> "ExecutionContext":
        return ExecutionContext(self)

    def get_tensor_name(self, index: int) -> str:
        return [*self._all][index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType(self._all[name].type.tensor_type.elem_type)

    def get_tensor_shape(self, name: str) -> list[int]:
        return _shape(self._all[name])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        shapes: list[list[int]] = self.header["shapes"][name]
        return shapes


class ExecutionContext:
    def __init__(self, engine: CudaEngine) -> None:
        self._engine = engine
        self._shapes: dict[str, list[int]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        stated = self._engine.get_tensor_shape(name)
        least, _, most = self._engine.header["shapes"].get(name, (stated,) * 3)
        if len(stated) != len(shape) or not all(
            a <= size <= b for a, size, b in zip(least, shape, most, strict=True)
        ):
            return False
        self._shapes[name] = list(shape)
        return True

    def get_tensor_shape(self, name: str) -> list[int]:
        if name in self._shapes:
            return self._shapes[name]
        symbols: dict[str, int] = {}
        for given, shape in self._shapes.items():
            for d, size in zip(self._dims(self._engine.inputs[given]), shape, strict=True):
                symbols[d.dim_param] = size
        return [
            d.dim_value if d.HasField("dim_value") else symbols.get(d.dim_param, -1)
            for d in self._dims(self._engine.outputs[name])
        ]

    @staticmethod
    def _dims(tensor: Any) -> Any:
        return tensor.type.tensor_type.shape.dim

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if memory % cuda.ALIGNMENT:
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        shapes = {name: self.get_tensor_shape(name) for name in self._engine._all}
        addresses = dict(self._addresses)
        for name, shape in shapes.items():
            size_bytes = int(np.prod(shape)) * self._dtype(name).itemsize
            if not cuda.is_allocated(addresses.get(name, 0), size_bytes):
                return False
        cuda.enqueue(stream_handle, lambda: self._run(shapes, addresses))
        return True

    def _run(self, shapes: dict[str, list[int]], addresses: dict[str, int]) -> None:
        names = list(self._engine.outputs)
        given = {
            name: self._at(addresses[name], name, shapes[name]).copy()
            for name in self._engine.inputs
        }
        for name, made in zip(names, self._engine.session.run(names, given), strict=True):
            if self._engine.header["is_wrong"] and name == "probabilities":
                made = made[:, ::-1]
            self._at(addresses[name], name, list(made.shape))[...] = made

    def _dtype(self, name: str) -> np.dtype[Any]:
        return np.dtype(nptype(self._engine.get_tensor_dtype(name)))

    def _at(self, address: int, name: str, shape: list[int]) -> NDArray[Any]:
        size_bytes = int(np.prod(shape)) * self._dtype(name).itemsize
        memory = (ctypes.c_uint8 * size_bytes).from_address(address)
        return np.ctypeslib.as_array(memory).view(self._dtype(name)).reshape(shape)
