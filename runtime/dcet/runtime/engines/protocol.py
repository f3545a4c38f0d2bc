"""What an engine is: it runs a bundle's graphs, and may keep their states on its device."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.errors import EngineError


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
    """Slots for what the graphs remember of each speaker, and two for the scene; zeros at first.

    The caller says which slots count. A turn reads those and writes to the spare ones: a slot, and
    the other one of the scene.
    """

    def recall(
        self, place: int | None, spare: int, scene: int
    ) -> dict[str, dict[str, DeviceState]]:
        """Return what the graphs read and write, by graph and input; None is the place of a new
        speaker."""

    def draft(self, place: int | None, spare: int, scene: int, graphs: Iterable[str]) -> None:
        """Complete the spare slots, which `graphs` wrote to, with what belongs to the others."""

    def forget(self, places: Iterable[int]) -> None:
        """Zero these slots, and both of the scene. Nothing of them is left when this returns."""

    def reset(self) -> None:
        """Zero everything."""


@runtime_checkable
class KeepsStates(Protocol):
    """An engine whose states stay on its device from turn to turn."""

    def keep_states(self, state: Sequence[StatePair], slots: int) -> States:
        """Make room for so many slots, and the scene's. Raises EngineError."""


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
