"""The base of every engine, which runs the graphs of a bundle."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.manifest import Owner, StatePair
from dcet.runtime.errors import EngineError
from dcet.runtime.uncopied import Uncopied


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A float32 state in the memory of an engine's device.

    A graph that is given it reads `address`, and also leaves the state that follows, the output of
    the same pair, at `next_address`.
    """

    address: int
    next_address: int
    shape: tuple[int, ...]


class States(Protocol):
    """Slots for what the step remembers of each speaker, and two for the scene; zeros at first.

    The caller says which slots count. A turn reads those and writes to the spare ones: a slot, and
    the other one of the scene.
    """

    def recall(self, place: int | None, spare: int, scene: int) -> dict[str, DeviceState]:
        """Return what the step reads and writes, by input; None is the place of a new speaker."""

    def read(self, per: Owner, place: int) -> dict[str, NDArray[np.float32]]:
        """Return what is in a slot of a speaker's or of the scene's, by input."""

    def write(self, per: Owner, place: int, states: Mapping[str, NDArray[np.float32]]) -> None:
        """Write what `read` returned to a slot. It is there when this returns."""

    def forget(self, places: Iterable[int]) -> None:
        """Zero these slots, and both of the scene. Nothing of them is left when this returns."""

    def reset(self) -> None:
        """Zero everything."""


Arrays = Mapping[str, Any]  # NDArray, or DeviceState where it is a state of this engine's
Pending = Callable[[], dict[str, NDArray[np.float32]]]  # waits for the outputs; may raise


class Engine(Uncopied, ABC):
    """An engine that runs the graphs of a bundle. Several threads may call it at once.

    An engine of your own is a subclass that sets `name` and `reason` and overrides `run`. The
    other methods have defaults: one that wraps another engine inherits them, too, so that every
    run passes through its own `run`.

    name: engine and device, such as `onnxruntime-cpu`
    reason: why this engine runs
    """

    name: str
    reason: str

    @abstractmethod
    def run(self, graph: str, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Compute all outputs of a graph, in arrays of the caller's own. Raises EngineError."""

    def start(self, graph: str, inputs: Arrays) -> Pending:
        """Begin what `run` does, and return while it computes where the engine can.

        Raises EngineError, as may what it returns.
        """
        outputs = self.run(graph, inputs)
        return lambda: outputs

    def keep_states(self, state: Sequence[StatePair], slots: int) -> States | None:
        """Make room on the device for so many slots of these states, which are the step's, and the
        scene's, or return None where states go in and out as arrays. Raises EngineError."""
        return None

    def float_type(self, graph: str) -> str:
        """Name the type in which a graph computes what is not int8: fp32, bf16 or fp16."""
        return "fp32"


def start(engine: Engine, graph: str, inputs: Arrays) -> Pending:
    """Start a graph whose outputs may be remembered, so that they must be finite.

    Raises EngineError, as may what it returns: where an output is NaN, infinite, left out or no
    array of float32, too.
    """
    pending = engine.start(graph, inputs)

    def finish() -> dict[str, NDArray[np.float32]]:
        outputs = pending()
        is_mapping = isinstance(outputs, Mapping)  # an engine of a host's own may return anything
        if not is_mapping or not all(map(_is_float32, outputs.values())):
            raise EngineError(
                f"{engine.name}: graph {graph!r}: expected a dict of float32 arrays by the names "
                "of the graph's outputs, got something else; correct the engine's `run`"
            )
        if not all(np.isfinite(array).all() for array in outputs.values()):
            raise EngineError(
                f"{engine.name}: graph {graph!r}: expected finite estimates, got NaN or infinity; "
                "check the scale of Features, or try another engine"
            )
        return _Outputs(f"{engine.name}: graph {graph!r}", outputs)

    return finish


class _Outputs(dict[str, NDArray[np.float32]]):
    """Outputs of a graph, which name one that the engine left out."""

    def __init__(self, where: str, outputs: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__(outputs)
        self._where = where

    def __missing__(self, name: str) -> NoReturn:
        raise EngineError(
            f"{self._where}: expected the output {name!r}, got {', '.join(self) or 'none'}; "
            "correct the engine's `run`"
        )


def _is_float32(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float32
