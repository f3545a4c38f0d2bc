"""Engines run a bundle's graphs. Each is imported only when a bundle asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.device_cache import find_built, refuse_condemned
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


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to run a bundle, a rung of a target's ladder.

    module: of dcet.runtime.engines, imported when a bundle asks for it
    factory: its class, made of (bundle, reason), and of the folder of what was built where it
        `is_built`. Its static method `platform()` names what decides whether it works, besides the
        bundle: versions, driver, device. It raises MissingExtra or EngineError where it cannot
    is_built: dcet-finalize must have built it on this device
    """

    module: str
    factory: str
    is_built: bool = False

    def open(self, bundle: "Bundle", reason: str, folder: Path | None = None) -> Engine:
        """Raises MissingExtra, EngineError or BundleShapeMismatch."""
        engine: Engine = self._class()(bundle, reason, *([folder] if self.is_built else []))
        return engine

    def platform(self) -> dict[str, str]:
        """Versions, driver and device. Raises MissingExtra or EngineError."""
        found: dict[str, str] = self._class().platform()
        return found

    def _class(self) -> Any:
        return getattr(import_module(f"dcet.runtime.engines.{self.module}"), self.factory)


ENGINES: Mapping[str, Rung] = {
    "onnxruntime": Rung("onnxruntime", "OnnxRuntimeEngine"),
    "openvino": Rung("openvino", "OpenvinoEngine"),
    "openvino-gpu": Rung("openvino", "OpenvinoGpuEngine"),
    "openvino-npu": Rung("openvino", "OpenvinoNpuEngine"),
}


def open_engine(bundle: "Bundle", name: str = "auto") -> Engine:
    """Open one engine by its name, or the first of the bundle's that works here (`auto`).

    An engine that must be built needs a valid record of dcet-finalize, and `auto` passes over what
    dcet-finalize found wrong on this device.

    Raises ConfigError for an unknown name, MissingExtra or EngineError when what was asked for
    cannot run, BundleShapeMismatch when a graph is not what the manifest says.
    """
    if name != "auto":
        return _open(bundle, name, "asked for by name")
    target, ladder = bundle.manifest.target, bundle.manifest.engines
    fallen: list[str] = []
    for number, choice in enumerate(ladder, 1):
        reason = f"choice {number} of {len(ladder)} of target {target}; {'; '.join(fallen)}"
        try:
            if choice in ENGINES:
                refuse_condemned(bundle, choice, ENGINES[choice].platform)
            return _open(bundle, choice, reason if fallen else f"first choice of target {target}")
        except (ConfigError, MissingExtra, EngineError) as error:
            fallen.append(f"{choice}: {error}")
    raise EngineError(
        f"{bundle.path}: no engine of target {target} works here: {'; '.join(fallen)}"
    )


def find_rung(name: str) -> Rung:
    """Raises ConfigError for an unknown name."""
    if name not in ENGINES:
        raise ConfigError(f"engine: expected auto or one of {', '.join(ENGINES)}, got {name!r}")
    return ENGINES[name]


def _open(bundle: "Bundle", name: str, reason: str) -> Engine:
    rung = find_rung(name)
    folder = find_built(bundle, name, rung.platform()) if rung.is_built else None
    return rung.open(bundle, reason, folder)
