"""States that stay on a CUDA device from turn to turn."""

from collections.abc import Iterable, Sequence

import numpy as np

from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.engines.cuda import Block, Cuda, aligned
from dcet.runtime.engines.engine import DeviceState

_FLOAT_BYTES = 4


class DeviceStates:
    """Slots for the states of speakers, and two for the scene's, in one block of the device.

    The step reads the slots that count and writes to the spare ones. The block holds both scenes, a
    new speaker (zeros), and the slots.
    """

    def __init__(self, cuda: Cuda, state: Sequence[StatePair], slots: int) -> None:
        self._cuda = cuda
        self._state = tuple(state)
        self._offsets: dict[str, int] = {}
        sizes = {"speaker": 0, "scene": 0}
        for pair in self._state:
            self._offsets[pair.input] = sizes[pair.per]
            sizes[pair.per] += aligned(int(np.prod(pair.shape)) * _FLOAT_BYTES)
        self._slot_bytes, self._scene_bytes = sizes["speaker"], sizes["scene"]
        total = 2 * self._scene_bytes + (1 + slots) * self._slot_bytes
        self._block = Block(cuda, total)
        self._scenes = self._block.address
        self._unknown = self._scenes + 2 * self._scene_bytes

    def recall(self, place: int | None, spare: int, scene: int) -> dict[str, DeviceState]:
        """Return the states by their inputs. None is the place of a new speaker."""
        states: dict[str, DeviceState] = {}
        for pair in self._state:
            offset = self._offsets[pair.input]
            here, there = self._places(pair.per, place, spare, scene)
            states[pair.input] = DeviceState(
                address=here + offset, next_address=there + offset, shape=pair.shape
            )
        return states

    def forget(self, places: Iterable[int]) -> None:
        """Zero these slots, and both of the scene."""
        for place in places:
            self._cuda.clear(self._slot(place), self._slot_bytes)
        self._cuda.clear(self._scenes, 2 * self._scene_bytes)
        self._cuda.wait()

    def reset(self) -> None:
        """Zero everything."""
        self._cuda.clear(self._block.address, self._block.size_bytes)
        self._cuda.wait()

    def _places(self, per: str, place: int | None, spare: int, scene: int) -> tuple[int, int]:
        """Return the addresses at which states of a speaker or the scene are read and written."""
        if per == "scene":
            here, there = (self._scenes + at * self._scene_bytes for at in (scene, 1 - scene))
            return here, there
        return self._unknown if place is None else self._slot(place), self._slot(spare)

    def _slot(self, place: int) -> int:
        return self._unknown + (1 + place) * self._slot_bytes
