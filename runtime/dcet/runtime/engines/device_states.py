"""States that stay on a CUDA device from turn to turn."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.engines.cuda import Block, Cuda, aligned
from dcet.runtime.engines.protocol import DeviceState

_FLOAT_BYTES = 4


class DeviceStates:
    """A slot for the states of each speaker, and one for the scene's, in one block of the device.

    A graph reads a slot and writes a draft, which `commit` copies into the slot on the device. The
    block holds scene, its draft, somebody new (zeros), the speaker's draft, and the slots.
    """

    def __init__(self, cuda: Cuda, state: Sequence[StatePair], slots: int) -> None:
        self._cuda = cuda
        self._state = sorted(state, key=lambda pair: (pair.graph, pair.per))
        self._offsets: dict[str, int] = {}
        # What a graph writes of one owner lies together, so that one copy moves it.
        self._spans: dict[str, list[tuple[str, int, int]]] = {}
        sizes = {"speaker": 0, "scene": 0}
        for (graph, per), pairs in groupby(self._state, lambda pair: (pair.graph, pair.per)):
            begin = sizes[per]
            for pair in pairs:
                self._offsets[pair.input] = sizes[per]
                sizes[per] += aligned(int(np.prod(pair.shape)) * _FLOAT_BYTES)
            self._spans.setdefault(graph, []).append((per, begin, sizes[per] - begin))
        self._slot_bytes, self._scene_bytes = sizes["speaker"], sizes["scene"]
        total = 2 * self._scene_bytes + (2 + slots) * self._slot_bytes
        self._block = Block(cuda, total)
        self._scene = self._block.address
        self._scene_draft = self._scene + self._scene_bytes
        self._nobody = self._scene_draft + self._scene_bytes
        self._draft = self._nobody + self._slot_bytes

    def recall(self, place: int | None) -> dict[str, dict[str, DeviceState]]:
        """By graph and input. None is somebody new."""
        slot = self._nobody if place is None else self._slot(place)
        states: dict[str, dict[str, DeviceState]] = {}
        for pair in self._state:
            offset = self._offsets[pair.input]
            here, draft = (
                (slot, self._draft) if pair.per == "speaker" else (self._scene, self._scene_draft)
            )
            states.setdefault(pair.graph, {})[pair.input] = DeviceState(
                address=here + offset, next_address=draft + offset, shape=pair.shape
            )
        return states

    def commit(self, place: int, graphs: Iterable[str]) -> None:
        """Keep what the graphs that ran wrote."""
        slot = self._slot(place)
        for graph in graphs:
            for per, begin, size_bytes in self._spans.get(graph, ()):
                to, draft = (
                    (slot, self._draft) if per == "speaker" else (self._scene, self._scene_draft)
                )
                self._cuda.copy(to + begin, draft + begin, size_bytes)
        self._clear_drafts()

    def forget(self, place: int) -> None:
        self._cuda.clear(self._slot(place), self._slot_bytes)
        self._cuda.wait()

    def forget_scene(self) -> None:
        self._cuda.clear(self._scene, self._scene_bytes)
        self._clear_drafts()  # a turn that failed was not committed
        self._cuda.wait()

    def reset(self) -> None:
        self._cuda.clear(self._block.address, self._block.size_bytes)
        self._cuda.wait()

    def _slot(self, place: int) -> int:
        return self._draft + (1 + place) * self._slot_bytes

    def _clear_drafts(self) -> None:
        self._cuda.clear(self._scene_draft, self._scene_bytes)
        self._cuda.clear(self._draft, self._slot_bytes)
