"""TensorRT, with the plans that dcet-finalize built on this device."""

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.bundle.manifest import StatePair, Tensor
from dcet.runtime.engines.cuda import Block, Cuda, Pinned, aligned, cuda_platform
from dcet.runtime.engines.device_states import DeviceStates
from dcet.runtime.engines.engine import Arrays, DeviceState, Engine, States
from dcet.runtime.engines.loaded import Loaded
from dcet.runtime.engines.signatures import check_signature
from dcet.runtime.errors import EngineError, MissingExtra
from dcet.runtime.extras import need

OLDEST = 10  # major version with strongly typed networks and named tensors
_REMEMBERED = 5  # last complaints of TensorRT, which raises nothing that would say them


def load_tensorrt() -> Any:
    """Import tensorrt. Raises MissingExtra or EngineError."""
    try:
        tensorrt = need("tensorrt", extra="tensorrt")
    except MissingExtra:
        raise
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(f"tensorrt is installed, but does not load: {error}") from error
    if int(tensorrt.__version__.partition(".")[0]) < OLDEST:
        raise EngineError(
            f"expected TensorRT {OLDEST} or later, got {tensorrt.__version__}; "
            "update JetPack, or run: pip install --upgrade tensorrt"
        )
    return tensorrt


def make_logger(tensorrt: Any, severity: Any, tell: Callable[[str], object]) -> Any:
    """Make a logger that tells what is of this severity or worse; its user must keep it alive."""

    class Logger(tensorrt.ILogger):  # type: ignore[misc]  # it ships no types
        def __init__(self) -> None:
            tensorrt.ILogger.__init__(self)

        def log(self, level: Any, message: str) -> None:
            if int(level) <= int(severity):
                tell(message)

    return Logger()


class TensorrtEngine(Engine):
    """TensorRT, one run at a time: one device, and one set of buffers for each graph."""

    name = "tensorrt-gpu"

    def __init__(self, bundle: BundleContents, reason: str, folder: Path) -> None:
        self.reason = reason
        tensorrt = load_tensorrt()
        self._cuda = Cuda()
        complaints: deque[str] = deque(maxlen=_REMEMBERED)
        self._logger = make_logger(tensorrt, tensorrt.Logger.ERROR, complaints.append)
        self._runtime = tensorrt.Runtime(self._logger)
        self._running = threading.Lock()
        self._graphs = Loaded(
            {
                id: _Graph(
                    bundle,
                    id,
                    folder / f"{id}.plan",
                    tensorrt,
                    self._runtime,
                    self._cuda,
                    complaints,
                )
                for id in bundle.manifest.graphs
            }
        )

    @staticmethod
    def platform() -> dict[str, str]:
        """Name what decides, with the bundle, whether this engine works here."""
        return {"tensorrt": load_tensorrt().__version__, **cuda_platform()}

    def keep_states(self, state: Sequence[StatePair], slots: int) -> States:
        return DeviceStates(self._cuda, state, slots)

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        with self._running:
            return self._graphs[graph].run(inputs)


class _Graph:
    """A plan, the context that runs it, and its buffers on the device and on the host.

    Of both buffers, inputs and then outputs are used from the beginning on, so that one copy takes
    everything there and one everything back. They are zeroed after each run.
    """

    def __init__(
        self,
        bundle: BundleContents,
        id: str,
        plan: Path,
        tensorrt: Any,
        runtime: Any,
        cuda: Cuda,
        complaints: deque[str],
    ) -> None:
        self._id = id
        self._cuda = cuda
        self._complaints = complaints
        complaints.clear()
        self._engine = runtime.deserialize_cuda_engine(plan.read_bytes())
        self._context = self._engine and self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"{plan}: TensorRT {tensorrt.__version__} cannot load it: {self._complaint()}; "
                f"build it again: dcet-finalize {bundle.path}"
            )
        graph = bundle.manifest.graphs[id]
        stated = {tensor.name: tensor for tensor in (*graph.inputs, *graph.outputs)}
        ports: dict[bool, list[Tensor]] = {True: [], False: []}
        self._dtypes: dict[str, np.dtype[Any]] = {}
        for place in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(place)
            dtype = np.dtype(tensorrt.nptype(self._engine.get_tensor_dtype(name)))
            shape = tuple(self._engine.get_tensor_shape(name))
            if name in stated and len(stated[name].shape) == len(shape):  # -1 may be anything
                known = zip(shape, stated[name].shape, strict=True)
                shape = tuple(ours if theirs < 0 else theirs for theirs, ours in known)
            is_input = self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT
            ports[is_input].append(Tensor(name=name, dtype=dtype.name, shape=shape))
            self._dtypes[name] = dtype
        check_signature(bundle, id, ports[True], ports[False])
        self._inputs = [tensor.name for tensor in ports[True]]
        self._outputs = [tensor.name for tensor in ports[False]]
        self._following = {
            pair.input: pair.output for pair in bundle.manifest.state if pair.graph == id
        }
        largest = self._largest_bytes()
        self._device = Block(cuda, largest)
        self._host = Pinned(cuda, largest)

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        self._complaints.clear()
        shapes = {name: self._set_shape(name, inputs.get(name)) for name in self._inputs}
        given = [name for name in self._inputs if not isinstance(inputs[name], DeviceState)]
        places, taken = self._lay_out(given, shapes, 0)
        shapes |= {name: self._shape(name) for name in self._outputs}
        made, used = self._lay_out(self._outputs, shapes, taken)
        places |= made
        try:
            for name in given:
                self._view(name, places[name], shapes[name])[...] = inputs[name]
            self._cuda.copy(self._device.address, self._host.address, taken)
            for name in (*self._inputs, *self._outputs):
                address = self._device.address + places.get(name, 0)
                if isinstance(state := inputs.get(name), DeviceState):
                    address = state.address
                if not self._context.set_tensor_address(name, address):
                    raise self._failure(f"{name!r} cannot lie at {address:#x}")
            if not self._context.execute_async_v3(self._cuda.stream):
                raise self._failure("it was not started")
            for name, value in inputs.items():
                if isinstance(value, DeviceState):
                    following = self._following[name]
                    self._cuda.copy(
                        value.next_address,
                        self._device.address + places[following],
                        self._size_bytes(following, shapes[following]),
                    )
            self._cuda.copy(self._host.address + taken, self._device.address + taken, used - taken)
            self._cuda.wait()
            return {
                name: self._view(name, places[name], shapes[name]).copy() for name in self._outputs
            }
        finally:
            self._host.bytes[:used] = 0
            self._cuda.clear(self._device.address, used)

    def _set_shape(self, name: str, value: NDArray[Any] | DeviceState | None) -> tuple[int, ...]:
        """Set and return the shape of an input, which must be one that the plan was built for."""
        if value is None:
            raise self._failure(f"{name!r} is missing")
        if not isinstance(value, DeviceState) and value.dtype != self._dtypes[name]:
            raise self._failure(f"{name!r}: expected {self._dtypes[name]}, got {value.dtype}")
        if not self._context.set_input_shape(name, value.shape):
            raise self._failure(f"{name!r} of shape {value.shape} is none it was built for")
        return value.shape

    def _shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an output, once those of the inputs are set."""
        shape = tuple(self._context.get_tensor_shape(name))
        if min(shape, default=0) < 0:
            raise self._failure(f"the shape of {name!r} is not known")
        return shape

    def _lay_out(
        self, names: Sequence[str], shapes: Mapping[str, tuple[int, ...]], begin: int
    ) -> tuple[dict[str, int], int]:
        """Return places in the buffers, one behind the other, and where the last ends."""
        places: dict[str, int] = {}
        for name in names:
            places[name] = begin
            begin += aligned(self._size_bytes(name, shapes[name]))
        return places, begin

    def _largest_bytes(self) -> int:
        """Compute the size of all inputs and outputs at the largest shapes of the plan."""
        shapes = {}
        for name in self._inputs:
            shapes[name] = tuple(self._engine.get_tensor_shape(name))
            if min(shapes[name], default=0) < 0:  # it varies
                shapes[name] = tuple(self._engine.get_tensor_profile_shape(name, 0)[2])
            self._context.set_input_shape(name, shapes[name])
        shapes |= {name: self._shape(name) for name in self._outputs}
        return self._lay_out([*self._inputs, *self._outputs], shapes, 0)[1]

    def _size_bytes(self, name: str, shape: tuple[int, ...]) -> int:
        return math.prod(shape) * self._dtypes[name].itemsize

    def _view(self, name: str, place: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return a tensor in the host's buffer."""
        part = self._host.bytes[place : place + self._size_bytes(name, shape)]
        return part.view(self._dtypes[name]).reshape(shape)

    def _failure(self, why: str) -> EngineError:
        return EngineError(
            f"TensorRT could not run graph {self._id!r}: {why} ({self._complaint()})"
        )

    def _complaint(self) -> str:
        return "; ".join(self._complaints) or "TensorRT says no more"
