"""ONNX Runtime on a CUDA device."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.engines.cuda import Cuda, cuda_platform
from dcet.runtime.engines.device_states import DeviceStates
from dcet.runtime.engines.engine import Arrays, DeviceState, Engine, States
from dcet.runtime.engines.loaded import Loaded
from dcet.runtime.engines.onnxruntime import FAILURES, load_session, onnxruntime
from dcet.runtime.errors import EngineError

PROVIDER = "CUDAExecutionProvider"
DEVICE = "cuda"


class OnnxRuntimeCudaEngine(Engine):
    """ONNX Runtime on a GPU: a session for each graph, one stream, and one run at a time."""

    name = "onnxruntime-cuda"

    def __init__(self, bundle: BundleContents, reason: str) -> None:
        self.reason = reason
        _expect_cuda()
        self._cuda = Cuda()
        options = {
            "user_compute_stream": str(self._cuda.stream),  # so that states are there when read
            "use_tf32": "0",  # 10 bits of mantissa are outside the tolerance of an fp32 graph
        }
        sessions = {}
        for id in bundle.manifest.graphs:
            session = load_session(bundle, id, [(PROVIDER, options)])
            if PROVIDER not in session.get_providers():
                raise EngineError(
                    "ONNX Runtime fell back to the CPU silently: its CUDA provider does not load; "
                    "install the CUDA and cuDNN that this onnxruntime-gpu was made for"
                )
            sessions[id] = session
        self._sessions = Loaded(sessions)
        graphs = bundle.manifest.graphs
        self._outputs = {id: [tensor.name for tensor in graphs[id].outputs] for id in graphs}
        self._following = {pair.input: pair.output for pair in bundle.manifest.state}
        self._running = threading.Lock()

    @staticmethod
    def platform() -> dict[str, str]:
        """Name what decides, with the bundle, whether this engine works here."""
        _expect_cuda()
        return {"onnxruntime": onnxruntime.__version__, **cuda_platform()}

    def keep_states(self, state: Sequence[StatePair], slots: int) -> States:
        return DeviceStates(self._cuda, state, slots)

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        names = self._outputs[graph]
        session = self._sessions[graph]
        # A binding of its own, which keeps nothing of what went in and out of it.
        binding = session.io_binding()
        following: dict[str, DeviceState] = {}
        try:
            for name, value in inputs.items():
                if isinstance(value, DeviceState):
                    binding.bind_input(name, DEVICE, 0, np.float32, value.shape, value.address)
                    following[self._following[name]] = value
                else:
                    binding.bind_cpu_input(name, np.ascontiguousarray(value))
            for name in names:
                state = following.get(name)
                if state is None:
                    binding.bind_output(name)
                else:
                    binding.bind_output(
                        name, DEVICE, 0, np.float32, state.shape, state.next_address
                    )
            with self._running:
                session.run_with_iobinding(binding)
            return dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))
        except FAILURES as error:
            raise EngineError(f"ONNX Runtime could not run graph {graph!r}: {error}") from error


def _expect_cuda() -> None:
    if PROVIDER not in onnxruntime.get_available_providers():
        raise EngineError(
            f"onnxruntime {onnxruntime.__version__} was built without CUDA; run: "
            "pip uninstall onnxruntime && pip install onnxruntime-gpu"
        )
