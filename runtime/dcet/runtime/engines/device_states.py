"""States that stay on a CUDA device from turn to turn."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.bundle.manifest import Owner, StatePair
from dcet.runtime.engines.cuda import Block, Cuda, Pinned, aligned
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
            sizes[pair.per] += aligned(math.prod(pair.shape) * _FLOAT_BYTES)
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

    def read(self, per: Owner, place: int) -> dict[str, Floats]:
        """Return what is in a slot, by input."""
        address, size_bytes = self._span(per, place)
        host = Pinned(self._cuda, size_bytes)
        self._cuda.copy(host.address, address, size_bytes)
        self._cuda.wait()
        states = {name: view.copy() for name, view in self._views(per, host).items()}
        host.bytes.fill(0)
        return states

    def write(self, per: Owner, place: int, states: Mapping[str, Floats]) -> None:
        """Write what `read` returned to a slot. It is there when this returns."""
        address, size_bytes = self._span(per, place)
        host = Pinned(self._cuda, size_bytes)
        for name, view in self._views(per, host).items():
            view[...] = states[name]
        self._cuda.copy(address, host.address, size_bytes)
        self._cuda.wait()
        host.bytes.fill(0)

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

    def _span(self, per: Owner, place: int) -> tuple[int, int]:
        """Return where a slot is, and its size."""
        if per == "scene":
            return self._scenes + place * self._scene_bytes, self._scene_bytes
        return self._slot(place), self._slot_bytes

    def _views(self, per: Owner, host: Pinned) -> dict[str, Floats]:
        """Return the states in a copy of a slot."""
        return {
            pair.input: host.bytes[offset : offset + math.prod(pair.shape) * _FLOAT_BYTES]
            .view(np.float32)
            .reshape(pair.shape)
            for pair in self._state
            if pair.per == per
            for offset in [self._offsets[pair.input]]
        }

    def _places(self, per: Owner, place: int | None, spare: int, scene: int) -> tuple[int, int]:
        """Return the addresses at which states of a speaker or the scene are read and written."""
        if per == "scene":
            return self._span(per, scene)[0], self._span(per, 1 - scene)[0]
        return self._unknown if place is None else self._slot(place), self._slot(spare)

    def _slot(self, place: int) -> int:
        return self._unknown + (1 + place) * self._slot_bytes
