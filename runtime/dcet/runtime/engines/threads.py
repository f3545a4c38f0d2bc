"""The number of threads that an engine computes a graph with."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# Handing parts of a step of one millisecond to other threads gains nothing, and on a busy machine
# it waits for them: with one of two cores taken, p90 was 1.4 ms with one thread and 5.5 with two.
THREADS: Mapping[str, int] = {"step": 1}
ENGINE_DECIDES = 0
_CPUS = Path("/sys/devices/system/cpu")


def threads_of(graph: str) -> int:
    """Count the threads for a graph; `ENGINE_DECIDES` where the system does not say on which cores
    this process may run."""
    return THREADS.get(graph, usable_cores())


def usable_cores() -> int:
    """Count the physical cores that this process may run on (`taskset`, cpusets), as ONNX Runtime
    counts those of the machine; `ENGINE_DECIDES` where the system does not say."""
    if sys.platform != "linux":
        return ENGINE_DECIDES
    return len({_core_of(cpu) for cpu in os.sched_getaffinity(0)})


def _core_of(cpu: int) -> str:
    """Name a CPU's core by the CPUs that share it."""
    try:
        return (_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii")
    except OSError:  # in some containers; then each CPU counts
        return str(cpu)
