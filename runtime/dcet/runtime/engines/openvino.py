"""OpenVINO on the CPU, on a GPU and on an NPU."""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.bundle.manifest import Tensor
from dcet.runtime.engines.engine import Arrays, Engine, Pending
from dcet.runtime.engines.fixed_shapes import FixedShapes
from dcet.runtime.engines.loaded import Loaded
from dcet.runtime.engines.openvino_cache import OpenvinoCache
from dcet.runtime.engines.openvino_requests import Requests, requests_of
from dcet.runtime.engines.signatures import check_signature
from dcet.runtime.engines.threads import ENGINE_DECIDES, THREADS
from dcet.runtime.errors import EngineError
from dcet.runtime.extras import need

_DTYPES = {"f32": "float32", "i32": "int32", "u8": "uint8"}

# Graphs that may compute in bfloat16 where the tolerance is that of INT8, as that of FP32 and FP16
# has no room for it. Sound is not among them: it would be NaN, and take longer.
BF16 = ("text", "face", "step")

# OpenVINO keeps what it makes for each size of inputs, up to 5,000 of a kind in each graph, and
# oneDNN inside it as much again. Of tokens, windows and faces a bundle states the most, but the
# sizes of pictures, and of sound in which a voice is looked for, have no end: of them, this many of
# a kind are kept.
KEPT_SIZES: Mapping[str, int] = {"face": 64, "speech": 16}
# OpenVINO 2026.4 loses 29 KB whenever more than two graphs on several threads take turns. On one
# thread these take as long: 3.2 ms for 3.0 with 10 tokens, and 0.9 with 3 s of sound, as with two.
OWN_THREADS: Mapping[str, int] = {**THREADS, "text": 1, "speech": 1}
_PRIMITIVE_CACHE = "DNNL_PRIMITIVE_CACHE_CAPACITY"


class OpenvinoEngine(Engine):
    """OpenVINO on the CPU, in float32, or in bfloat16 for `BF16` where the processor has it."""

    name = "openvino-cpu"
    device: ClassVar[str] = "CPU"

    def __init__(self, bundle: BundleContents, reason: str) -> None:
        self.reason = reason
        core = _core(self.device)
        graphs = bundle.manifest.graphs
        self._float_types = {id: self._float_type(core, bundle, id) for id in graphs}
        contents = {id: _contents(bundle, id) for id in graphs}
        # Each graph takes 0.1 to 0.3 s, of which most is the work of one core.
        with _one_cache(), ThreadPoolExecutor(len(graphs)) as pool:
            loading = {id: pool.submit(self._load, core, bundle, id, contents[id]) for id in graphs}
            self._requests = Loaded({id: loaded.result() for id, loaded in loading.items()})

    @classmethod
    def platform(cls) -> dict[str, str]:
        """Name what decides, with the bundle, whether this engine works here."""
        core = _core(cls.device)
        return {
            "openvino": need("openvino", extra="openvino").__version__,
            "machine": platform.machine(),
            "device": core.get_property(cls.device, "FULL_DEVICE_NAME"),
        }

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return self.start(graph, inputs)()

    def start(self, graph: str, inputs: Arrays) -> Pending:
        return _start(graph, self._requests[graph][0], inputs)

    def float_type(self, graph: str) -> str:
        return {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}[self._float_types[graph]]

    def _float_type(self, core: Any, bundle: BundleContents, id: str) -> str:
        """Choose the type of what is not int8, by OpenVINO's name for it."""
        # Left to itself OpenVINO takes bfloat16 for all of them.
        is_int8 = any(graph.precision == "int8" for graph in bundle.manifest.graphs.values())
        has_bf16 = "BF16" in core.get_property(self.device, "OPTIMIZATION_CAPABILITIES")
        return "bf16" if is_int8 and has_bf16 and id in BF16 else "f32"

    def _load(
        self, core: Any, bundle: BundleContents, id: str, contents: dict[str, bytes]
    ) -> list[Requests]:
        """Compile a graph of these files; more than once where it is for several sizes."""
        graph = bundle.manifest.graphs[id]
        try:
            model = core.read_model(*contents.values())
            inputs = _tensors(model.inputs, graph.inputs)
            outputs = _tensors(model.outputs, graph.outputs)
            check_signature(bundle, id, inputs, outputs)
            names = [[tensor.name for tensor in tensors] for tensors in (inputs, outputs)]
            compiled = self._compile(core, model, id)
            return [requests_of(each, *names) for each in compiled]
        except RuntimeError as error:
            raise EngineError(
                f"{bundle.path}: {', '.join(contents)}: OpenVINO cannot load it: {error}; "
                "try a newer openvino, or export the bundle again"
            ) from error

    def _compile(self, core: Any, model: Any, id: str) -> list[Any]:
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self._float_types[id],
            "INFERENCE_NUM_THREADS": OWN_THREADS.get(id, ENGINE_DECIDES),
            "ENABLE_CPU_PINNING": False,  # all graphs to the same core, so that they would queue
        }
        if id in KEPT_SIZES:
            config["CPU_RUNTIME_CACHE_CAPACITY"] = KEPT_SIZES[id]
        return [core.compile_model(model, self.device, config)]


class OpenvinoGpuEngine(OpenvinoEngine):
    """OpenVINO on a GPU: graphs in fp32 compute in float32, others in float16."""

    name = "openvino-gpu"
    device = "GPU"

    def __init__(self, bundle: BundleContents, reason: str) -> None:
        self._cache = OpenvinoCache(bundle, self.name)
        super().__init__(bundle, reason)
        self._cache.seal()

    def _float_type(self, core: Any, bundle: BundleContents, id: str) -> str:
        return "f32" if bundle.manifest.graphs[id].precision == "fp32" else "f16"

    def _compile(self, core: Any, model: Any, id: str) -> list[Any]:
        hint = self._float_types[id]
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        return [core.compile_model(model, self.device, config | self._cache.setting(hint))]


class OpenvinoNpuEngine(OpenvinoEngine):
    """OpenVINO on an NPU: in float16, its only float, with a few fixed shapes of each graph."""

    name = "openvino-npu"
    device = "NPU"

    def __init__(self, bundle: BundleContents, reason: str) -> None:
        self._shapes = FixedShapes(bundle.manifest, scales_faces=True)
        self._cache = OpenvinoCache(bundle, self.name)
        super().__init__(bundle, reason)
        self._cache.seal()

    def start(self, graph: str, inputs: Arrays) -> Pending:
        fitted = self._shapes.fit(graph, inputs)
        pending = _start(graph, self._requests[graph][fitted.choice], fitted.inputs)
        return lambda: self._shapes.cut(graph, pending(), fitted.sizes)

    def _float_type(self, core: Any, bundle: BundleContents, id: str) -> str:
        return "f16"

    def _compile(self, core: Any, model: Any, id: str) -> list[Any]:
        hint = self._float_types[id]
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        config |= self._cache.setting(hint)
        compiled = []
        for sizes in self._shapes.sizes(id):
            fixed = model.clone()
            fixed.reshape(self._shapes.shapes(id, sizes))
            compiled.append(core.compile_model(fixed, self.device, config))
        return compiled


def _contents(bundle: BundleContents, id: str) -> dict[str, bytes]:
    """Read the files that OpenVINO makes a graph of, in the order in which it takes them."""
    graph = bundle.manifest.graphs[id]
    files = (graph.openvino.xml, graph.openvino.bin) if graph.openvino else (graph.file,)
    return {file: bundle.read(file) for file in files}


def _core(device: str) -> Any:
    """Open OpenVINO where it has this device. Raises MissingExtra or EngineError."""
    openvino = need("openvino", extra="openvino")
    core = openvino.Core()
    found = core.available_devices  # such as CPU, GPU, or GPU.0 and GPU.1
    if device not in {name.partition(".")[0] for name in found}:
        raise EngineError(
            f"OpenVINO {openvino.__version__} finds no {device} here, only "
            f"{', '.join(found) or 'nothing'}; install the driver of the {device}, or use those"
        )
    return core


@contextmanager
def _one_cache() -> Iterator[None]:
    """Leave what is made for a size to OpenVINO's cache alone, unless the host says otherwise.

    OpenVINO's oneDNN reads this variable once, as it compiles its first graph; torch has a oneDNN
    of its own that needs its cache.
    """
    if _PRIMITIVE_CACHE in os.environ:
        yield
        return
    os.environ[_PRIMITIVE_CACHE] = "0"
    try:
        yield
    finally:
        del os.environ[_PRIMITIVE_CACHE]


def _start(graph: str, requests: Requests, inputs: Arrays) -> Pending:
    with _failing(graph):
        pending = requests.start(inputs)

    def finish() -> dict[str, NDArray[np.float32]]:
        with _failing(graph):
            return pending()

    return finish


@contextmanager
def _failing(graph: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f"OpenVINO could not run graph {graph!r}: {error}") from error


def _tensors(ports: Iterable[Any], stated: Iterable[Tensor]) -> list[Tensor]:
    names = {tensor.name for tensor in stated}
    tensors = []
    for port in ports:
        # A port that OpenVINO merged with its neighbours has all their names.
        name = min(port.get_names() & names, default=port.get_any_name())
        dtype = port.get_element_type().get_type_name()
        sizes = [size.get_length() if size.is_static else "?" for size in port.get_partial_shape()]
        tensors.append(Tensor(name=name, dtype=_DTYPES.get(dtype, dtype), shape=tuple(sizes)))
    return tensors
