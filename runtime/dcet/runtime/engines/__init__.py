"""Engines run a bundle's graphs. Each is imported only when a bundle asks for it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.errors import ConfigError, EngineError, MissingExtra

if TYPE_CHECKING:
    from dcet.runtime.bundle import Bundle

Arrays = Mapping[str, NDArray[Any]]

# Threads of a graph; the engine decides on those not named. Handing parts of a step of one
# millisecond to other threads gains nothing, and on a busy machine it waits for them: with one of
# two cores taken, p90 was 1.4 ms with one thread and 5.5 ms with two.
THREADS: Mapping[str, int] = {"step": 1}


# Every engine that a target may name, best first on a machine that has them all.
ENGINE_NAMES = (
    "tensorrt",
    "torch-tensorrt",
    "onnxruntime-cuda",
    "torch-cuda",
    "openvino-gpu",
    "openvino-npu",
    "openvino",
    "onnxruntime",
)


class Engine(Protocol):
    """Runs graphs by their id. Safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """Engine and device, such as `onnxruntime-cpu`."""

    @property
    def reason(self) -> str:
        """Why this one runs."""

    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """All outputs of a graph, in arrays of the caller's own. Raises EngineError."""


def run_finite(engine: Engine, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
    """`engine.run` for what may be remembered. Raises EngineError where it is NaN or infinite."""
    outputs = engine.run(graph, inputs)
    if not all(np.isfinite(array).all() for array in outputs.values()):
        raise EngineError(
            f"{engine.name}: graph {graph!r}: expected finite estimates, got NaN or infinity; "
            "check the scale of Features, or try another engine"
        )
    return outputs


def _open_onnxruntime(bundle: "Bundle", reason: str) -> Engine:
    from dcet.runtime.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(bundle, reason)


def _open_openvino(bundle: "Bundle", reason: str) -> Engine:
    from dcet.runtime.engines.openvino import OpenvinoEngine

    return OpenvinoEngine(bundle, reason)


ENGINES: Mapping[str, Callable[["Bundle", str], Engine]] = {
    "onnxruntime": _open_onnxruntime,
    "openvino": _open_openvino,
}


def open_engine(bundle: "Bundle", name: str = "auto") -> Engine:
    """Open one engine by its name, or the first of the bundle's that works here (`auto`).

    Raises ConfigError for an unknown name, MissingExtra or EngineError when what was asked for
    cannot run, BundleShapeMismatch when a graph is not what the manifest says.
    """
    if name != "auto":
        return _opener(name)(bundle, "asked for by name")
    target = bundle.manifest.target
    fallen: list[str] = []
    for choice in bundle.manifest.engines:
        reason = "; ".join(fallen) if fallen else f"first choice of target {target}"
        try:
            return _opener(choice)(bundle, reason)
        except (ConfigError, MissingExtra, EngineError) as error:
            fallen.append(str(error))
    raise EngineError(
        f"{bundle.path}: no engine of target {target} works here: {'; '.join(fallen)}"
    )


def _opener(name: str) -> Callable[["Bundle", str], Engine]:
    if name not in ENGINES:
        raise ConfigError(f"engine: expected auto or one of {', '.join(ENGINES)}, got {name!r}")
    return ENGINES[name]
