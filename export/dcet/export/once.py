"""What several bundles of one checkpoint have in common is made once."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """Makes a thing when it is first asked for, and remembers it by its key."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Any] = {}

    def __call__(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gave for this key; the key must name all that it depends on."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made
