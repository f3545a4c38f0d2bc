"""Engines run a bundle's graphs. Each is imported only when a bundle asks for it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.device_cache import find_built, refuse_condemned
from dcet.runtime.errors import ConfigError, DcetError, EngineError, MissingExtra
from dcet.runtime.manifest import StatePair

if TYPE_CHECKING:
    from dcet.runtime.bundle import Bundle


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A state that lies on the device of an engine, float32.

    A graph that is given it reads `address`, and also leaves the state that follows, the output of
    the same pair, at `next_address`.
    """

    address: int
    next_address: int
    shape: tuple[int, ...]


Arrays = Mapping[str, Any]  # NDArray, or DeviceState where it is a state of this engine's

# Threads of a graph; the engine decides on those not named. Handing parts of a step of one
# millisecond to other threads gains nothing, and on a busy machine it waits for them: with one of
# two cores taken, p90 was 1.4 ms with one thread and 5.5 ms with two.
THREADS: Mapping[str, int] = {"step": 1}
ENGINE_DECIDES = 0  # threads of the others


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


class States(Protocol):
    """What the graphs remember: a slot for each speaker, and one for the scene; zeros at first."""

    def recall(self, place: int | None) -> dict[str, dict[str, DeviceState]]:
        """What the graphs read, by graph and input; None is the place of somebody new."""

    def commit(self, place: int, graphs: Iterable[str]) -> None:
        """Keep what these graphs wrote."""

    def forget(self, place: int) -> None:
        """Zero a slot. Nothing of it is left when this returns."""

    def forget_scene(self) -> None:
        """Zero the scene's slot."""

    def reset(self) -> None:
        """Zero everything."""


@runtime_checkable
class KeepsStates(Protocol):
    """An engine whose states stay on its device from turn to turn."""

    def keep_states(self, state: Sequence[StatePair], slots: int) -> States:
        """Room for the states of `slots` speakers and of the scene. Raises EngineError."""


Pending = Callable[[], dict[str, NDArray[np.float32]]]  # waits for the outputs; may raise


@runtime_checkable
class RunsAhead(Protocol):
    """An engine that computes while its caller goes on."""

    def start(self, graph: str, inputs: Arrays) -> Pending:
        """Begin what `run` does. Raises EngineError, as may what it returns."""


@runtime_checkable
class ChoosesFloatType(Protocol):
    """An engine that may compute in another type than float32 where a graph does not say int8."""

    def float_type(self, graph: str) -> str:
        """In what it computes: fp32, bf16 or fp16."""


def start(engine: Engine, graph: str, inputs: Arrays) -> Pending:
    """Run a graph, on the side where the engine can, whose outputs may be remembered.

    Raises EngineError, as may what it returns: where an output is NaN or infinite, too.
    """
    if isinstance(engine, RunsAhead):
        pending = engine.start(graph, inputs)
    else:
        made = engine.run(graph, inputs)
        pending = lambda: made

    def finish() -> dict[str, NDArray[np.float32]]:
        outputs = pending()
        if not all(np.isfinite(array).all() for array in outputs.values()):
            raise EngineError(
                f"{engine.name}: graph {graph!r}: expected finite estimates, got NaN or infinity; "
                "check the scale of Features, or try another engine"
            )
        return outputs

    return finish


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


# Best first, on a machine that has them all.
ENGINES: Mapping[str, Rung] = {
    "tensorrt": Rung("tensorrt", "TensorrtEngine", is_built=True),
    "torch-tensorrt": Rung("torch_package", "TorchTensorrtEngine", is_built=True),
    "onnxruntime-cuda": Rung("onnxruntime_cuda", "OnnxRuntimeCudaEngine"),
    "torch-cuda": Rung("torch_package", "TorchCudaEngine", is_built=True),
    "torch-cpu": Rung("torch_package", "TorchCpuEngine", is_built=True),
    "openvino-gpu": Rung("openvino", "OpenvinoGpuEngine"),
    "openvino-npu": Rung("openvino", "OpenvinoNpuEngine"),
    "openvino": Rung("openvino", "OpenvinoEngine"),
    "onnxruntime": Rung("onnxruntime", "OnnxRuntimeEngine"),
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
        except DcetError:  # the bundle is wrong, not the engine
            raise
        except Exception as error:  # noqa: BLE001  what is broken here raises what it likes
            fallen.append(f"{choice}: {type(error).__name__}: {error}")
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
