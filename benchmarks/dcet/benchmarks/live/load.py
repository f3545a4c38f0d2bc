"""Keeps cores busy beside a measurement."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ENDLESS = "while True: pass"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Run so many processes of the same priority that do nothing but take time."""
    running = [subprocess.Popen([sys.executable, "-c", ENDLESS]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
