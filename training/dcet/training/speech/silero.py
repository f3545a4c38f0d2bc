"""Silero's voice activity detector (MIT), as the teacher of ours. It is no dependency: its ONNX
file, which lies in the wheels `silero-vad` and `faster-whisper`, is given by its path."""

from pathlib import Path

import numpy as np

from dcet.runtime.arrays import HOP_SAMPLES, SAMPLE_RATE_HZ, Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import import_silenced

CONTEXT = 64  # samples before each hop that it is given, too
STATE_SHAPE = (2, 1, 128)
TAKEN = {"input", "state", "sr"}


class Silero:
    """The detector of versions 5 and 6. Raises ConfigError where `file` is another network."""

    def __init__(self, file: Path) -> None:
        onnxruntime = import_silenced("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # whatever fails is raised
        try:
            session = onnxruntime.InferenceSession(str(file), options)
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise ConfigError(f"--teacher {file}: cannot be loaded as ONNX: {error}") from error
        names = {port.name for port in session.get_inputs()}
        if names != TAKEN:
            raise ConfigError(
                f"--teacher {file}: expected the inputs {', '.join(sorted(TAKEN))}, got "
                f"{', '.join(sorted(names))}; give silero_vad/data/silero_vad.onnx of the wheel "
                "silero-vad"
            )
        self._session = session

    def probabilities(self, pcm: Floats) -> Floats:
        """Return the probability of speech in each whole hop of pcm (n,): (n // 512,)."""
        hops = pcm[: len(pcm) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)
        state = np.zeros(STATE_SHAPE, np.float32)
        context = np.zeros(CONTEXT, np.float32)
        rate = np.array(SAMPLE_RATE_HZ, np.int64)
        found = np.empty(len(hops), np.float32)
        for i, hop in enumerate(hops):
            heard = np.concatenate([context, hop])[None].astype(np.float32)
            output, state = self._session.run(None, {"input": heard, "state": state, "sr": rate})
            found[i], context = output[0, 0], hop[-CONTEXT:]
        return found
