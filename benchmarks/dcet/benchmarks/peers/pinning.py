"""Everything in this process on the same few cores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcet.runtime.errors import ConfigError

TASKS = Path("/proc/self/task")  # one entry a thread


@contextmanager
def pinned(cores: int) -> Iterator[None]:
    """Keep every thread that runs now, or is started inside, on the first `cores` usable cores.

    Engines that start as many threads as the machine has cores cannot leave these. Raises
    ConfigError where there are fewer cores, or where the system cannot pin threads.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise ConfigError("threads: this system cannot pin threads to cores; measure on Linux")
    usable = sorted(os.sched_getaffinity(0))
    if not 1 <= cores <= len(usable):
        raise ConfigError(f"threads: expected 1 to {len(usable)}, the usable cores, got {cores}")
    _pin(usable[:cores])
    try:
        yield
    finally:
        _pin(usable)


def _pin(cores: list[int]) -> None:
    for task in TASKS.iterdir():
        try:
            os.sched_setaffinity(int(task.name), cores)
        except ProcessLookupError:
            continue  # a thread that ended meanwhile
