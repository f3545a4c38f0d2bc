"""A lock that lets one dcet-finalize at a time write to a cache."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dcet.runtime.errors import ConfigError

LOCK = "lock"


@contextmanager
def locked(cache: Path, notify: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a cache, made if it is not there. Its holder is named, and waited for.

    The system lets go of the lock of a process that died. Raises OSError where `cache` cannot be
    written.
    """
    if sys.platform == "win32":
        raise ConfigError("dcet-finalize: expected Linux or macOS, got Windows; run it in WSL")
    import fcntl

    cache.mkdir(parents=True, exist_ok=True)
    with (cache / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            notify(f"{holder} finalises this bundle; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
