"""The machine and the time of a measurement."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = tuple("dcet nncf numpy onnxruntime openvino tokenizers torch transformers".split())
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """None stands for what this system does not tell."""

    cpu: str
    architecture: str
    cores: int  # that this process may use
    memory_bytes: int | None
    governor: str | None
    load_average: tuple[float, ...] | None  # over 1, 5 and 15 minutes, before the measurement
    os: str
    python: str
    packages: dict[str, str]


def read_machine() -> Machine:
    return Machine(
        cpu=_cpu_model() or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        cores=_usable_cores(),
        memory_bytes=_memory_bytes(),
        governor=GOVERNOR.read_text(encoding="utf-8").strip() if GOVERNOR.exists() else None,
        load_average=os.getloadavg() if hasattr(os, "getloadavg") else None,
        os=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=_versions(),
    )


def now() -> str:
    """Give the time as RFC 3339 has it, in UTC and whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cpu_model() -> str | None:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return None
    fields = (line.partition(":") for line in info.read_text(encoding="utf-8").splitlines())
    return next((value.strip() for key, _, value in fields if key.strip() == "model name"), None)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # an optional one that is not installed
    return found
