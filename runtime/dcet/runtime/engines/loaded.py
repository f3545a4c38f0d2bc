"""Graphs that an engine loaded into this process, which a forked child must not use or free.

Engines compute on threads of their own, and a fork does not take them along. A child that ran an
inherited engine, or freed it, would wait for those threads for ever.
"""

import ctypes
import os
import weakref
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from dcet.runtime.errors import EngineError

T = TypeVar("T")


class Loaded(Generic[T]):
    """The graphs that an engine loaded, by their ids.

    In a forked child, looking one up raises EngineError, and none is ever freed.
    """

    def __init__(self, graphs: Mapping[str, T]) -> None:
        self._graphs = graphs
        self._process = os.getpid()
        _all_loaded.add(self)

    def __getitem__(self, graph: str) -> T:
        check_process(self._process)
        return self._graphs[graph]


def check_process(opener: int) -> None:
    """Raise EngineError unless this is the process that opened the engine."""
    if os.getpid() != opener:
        raise EngineError(
            f"this engine was opened by process {opener}, from which process {os.getpid()} was "
            "forked, without the engine's threads; start processes by spawn, "
            "multiprocessing.get_context('spawn'), or, if no thread was in a turn as it forked, "
            "open a conversation of its own in each child: Conversation(bundle)"
        )


_all_loaded: "weakref.WeakSet[Loaded[Any]]" = weakref.WeakSet()


def _never_free() -> None:
    """Keep everything loaded alive for as long as the child lives, and while it ends."""
    for loaded in _all_loaded:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(loaded))


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_never_free)
