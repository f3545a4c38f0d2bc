"""A graph in ONNX Runtime, on its own and not as part of a bundle."""

import onnxruntime
from onnx import ModelProto

from dcet.runtime.engines.protocol import ENGINE_DECIDES

_ONLY_FATAL = 4  # whatever fails is raised; the log would say it a second time


def open_session(model: ModelProto, threads: int = ENGINE_DECIDES) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ONLY_FATAL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
