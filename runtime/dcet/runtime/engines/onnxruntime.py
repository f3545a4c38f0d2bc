"""ONNX Runtime on the CPU."""

import platform
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.bundle.manifest import Tensor
from dcet.runtime.engines.engine import Arrays, Engine
from dcet.runtime.engines.loaded import Loaded
from dcet.runtime.engines.signatures import check_signature
from dcet.runtime.engines.threads import threads_of
from dcet.runtime.errors import EngineError
from dcet.runtime.extras import import_silenced

onnxruntime: Any = import_silenced("onnxruntime")
failures: Any = import_silenced("onnxruntime.capi.onnxruntime_pybind11_state")

# ONNX Runtime's errors have no base class of their own.
FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NotImplemented,
    failures.RuntimeException,
    ValueError,
)
_DTYPES = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(uint8)": "uint8"}
CPU = "CPUExecutionProvider"
_ONLY_FATAL = 4  # whatever fails is raised; the log would say it a second time


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime with one session for each graph, which several threads may run at once."""

    name = "onnxruntime-cpu"

    def __init__(self, bundle: BundleContents, reason: str) -> None:
        self.reason = reason
        graphs = bundle.manifest.graphs
        self._sessions = Loaded({id: load_session(bundle, id) for id in graphs})
        self._outputs = {id: [tensor.name for tensor in graphs[id].outputs] for id in graphs}

    @staticmethod
    def platform() -> dict[str, str]:
        """Name what decides, with the bundle, whether this engine works here."""
        return {"onnxruntime": onnxruntime.__version__, "machine": platform.machine()}

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        session, names = self._sessions[graph], self._outputs[graph]
        try:
            return dict(zip(names, session.run(names, dict(inputs)), strict=True))
        except FAILURES as error:
            raise EngineError(f"ONNX Runtime could not run graph {graph!r}: {error}") from error


def load_session(
    bundle: BundleContents, id: str, providers: Sequence[str | tuple[str, dict[str, str]]] = (CPU,)
) -> Any:
    """Load a graph as an InferenceSession, verified against the manifest.

    Raises EngineError or BundleShapeMismatch.
    """
    file = bundle.manifest.graphs[id].file
    data = bundle.read(file)
    options = session_options(id)
    try:
        session = onnxruntime.InferenceSession(data, options, providers=list(providers))
    except FAILURES as error:
        raise EngineError(
            f"{bundle.path}: {file}: ONNX Runtime {onnxruntime.__version__} cannot load it: "
            f"{error}; try a newer onnxruntime, or export the bundle again"
        ) from error
    check_signature(bundle, id, _tensors(session.get_inputs()), _tensors(session.get_outputs()))
    return session


def session_options(graph: str) -> Any:
    """Return the options of a session for a graph: its threads, which do not spin for long."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONLY_FATAL
    # Left to itself ONNX Runtime binds its threads to cores that may not be this process's own.
    options.intra_op_num_threads = threads_of(graph)
    # Threads that spin while they wait answer sooner, but take the cores from whatever else runs on
    # the device. 50 µs last from one operator to the next: text, 3 s of sound and 8 faces took
    # 7.9 ms instead of 9.2 on two idle cores, and 14.7 instead of 13.3 with one of them taken.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "50")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _tensors(ports: Iterable[Any]) -> list[Tensor]:
    return [
        Tensor(
            name=port.name,
            dtype=_DTYPES.get(port.type, port.type),
            shape=tuple(size if isinstance(size, int) else "?" for size in port.shape),
        )
        for port in ports
    ]
