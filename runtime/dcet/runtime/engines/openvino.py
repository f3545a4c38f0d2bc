"""OpenVINO on the CPU."""

import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.engines import THREADS, Arrays
from dcet.runtime.engines.signatures import check_signature
from dcet.runtime.errors import EngineError
from dcet.runtime.extras import need
from dcet.runtime.manifest import Tensor

if TYPE_CHECKING:
    from dcet.runtime.bundle import Bundle

_DTYPES = {"f32": "float32", "i32": "int32", "u8": "uint8"}
_ENGINE_DECIDES = 0
# OpenVINO may choose bf16 by itself, which is outside the tolerance the bundle was checked with.
_CONFIG = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}


class OpenvinoEngine:
    """Every run has a request of its own: a request may not be shared by threads, and it would keep
    what went in and out of it, which is what somebody said. It costs 0.1 ms."""

    name = "openvino-cpu"

    def __init__(self, bundle: "Bundle", reason: str) -> None:
        self.reason = reason
        openvino = need("openvino", extra="openvino")
        core = openvino.Core()
        self._models = {id: _load(core, bundle, id) for id in bundle.manifest.graphs}

    @staticmethod
    def platform() -> dict[str, str]:
        openvino = need("openvino", extra="openvino")
        return {"openvino": openvino.__version__, "machine": platform.machine()}

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        model, names = self._models[graph]
        try:
            outputs = model.create_infer_request().infer(dict(inputs), share_inputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO could not run graph {graph!r}: {error}") from error
        return dict(zip(names, outputs.to_tuple(), strict=True))


def _load(core: Any, bundle: "Bundle", id: str) -> tuple[Any, list[str]]:
    """The graph's IR, or its ONNX where the bundle has no IR, compiled, and its outputs' names."""
    graph = bundle.manifest.graphs[id]
    files = (graph.openvino.xml, graph.openvino.bin) if graph.openvino else (graph.file,)
    contents = [bundle.read(file) for file in files]
    try:
        model = core.read_model(*contents)
        inputs, outputs = (
            _tensors(model.inputs, graph.inputs),
            _tensors(model.outputs, graph.outputs),
        )
        check_signature(bundle, id, inputs, outputs)
        config = {**_CONFIG, "INFERENCE_NUM_THREADS": THREADS.get(id, _ENGINE_DECIDES)}
        compiled = core.compile_model(model, "CPU", config)
    except RuntimeError as error:
        raise EngineError(
            f"{bundle.path}: {', '.join(files)}: OpenVINO cannot load it: {error}; "
            "try a newer openvino, or export the bundle again"
        ) from error
    return compiled, [tensor.name for tensor in outputs]


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
