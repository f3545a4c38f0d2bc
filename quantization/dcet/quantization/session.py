"""A graph in ONNX Runtime, on its own and not as part of a bundle."""

from typing import Any

from onnx import ModelProto

from dcet.runtime.engines.threads import usable_cores
from dcet.runtime.extras import import_silenced

onnxruntime: Any = import_silenced("onnxruntime")

_ONLY_FATAL = 4  # whatever fails is raised; the log would say it a second time


def open_session(model: ModelProto, threads: int | None = None) -> Any:
    """Load a model as an InferenceSession; None takes as many threads as there are cores for it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores() if threads is None else threads
    options.log_severity_level = _ONLY_FATAL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
