"""The memory of a conversation as a whole: arena and bank, which change together or not at all."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import Floats
from dcet.runtime.bank import Bank
from dcet.runtime.memory import Arena, Index, Recalled
from dcet.runtime.senses.encoded import Encoded

T = TypeVar("T")


class Memory:
    """What a conversation remembers. `bank` is None where it has none."""

    def __init__(self, arena: Arena, bank: Bank | None) -> None:
        self.arena = arena
        self.bank = bank

    def draft(
        self,
        recalled: Recalled,
        encoded: Encoded,
        outputs: Mapping[str, Floats],
        at_us: int | None,
    ) -> tuple[Index, NDArray[np.int64] | None]:
        """Write a turn to what is spare, and return what makes it count: index and rows."""
        graphs = {**encoded.outputs, "step": outputs}
        index = self.arena.draft(recalled.origin.speaker, graphs, encoded.face, at_us)
        if self.bank is None:
            return index, None
        evicted = self.arena.number(recalled.evicted)
        return index, self.bank.draft(recalled.number, encoded.features, outputs, evicted)

    def keep(self, index: Index, rows: NDArray[np.int64] | None, estimate: T) -> T:
        """Make what was drafted count and return the estimate, or do neither."""
        bank = self.bank
        before = self.arena.index
        rows_before = None if bank is None else bank.rows
        try:
            self.arena.index = index
            if bank is not None and rows is not None:
                bank.rows = rows
            return estimate
        except BaseException:  # an interrupt: the caller gets no estimate, so the turn was none
            self.arena.index = before
            if bank is not None and rows_before is not None:
                bank.rows = rows_before
            raise

    def forget(self, speaker: str) -> None:
        """Forget a speaker, and the scene. Raises UnknownSpeaker."""
        if self.bank is not None:  # first: once the arena knows no number, it cannot be told
            self.bank.forget(self.arena.number(speaker))
        self.arena.forget(speaker)

    def reset(self) -> None:
        """Forget everything."""
        self.arena.reset()
        if self.bank is not None:
            self.bank.reset()
