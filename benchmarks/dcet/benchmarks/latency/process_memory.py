"""The memory that this process holds.

`getrusage` is not used: on Linux its peak includes the process that started this one.
"""

from pathlib import Path

from dcet.runtime.extras import need

STATUS = Path("/proc/self/status")


def rss_bytes() -> int:
    """Return the resident memory now. Systems without /proc need the extra `bench`."""
    if STATUS.exists():
        return _status("VmRSS")
    return int(need("psutil", extra="bench").Process().memory_info().rss)


def peak_rss_bytes() -> int | None:
    """Return the largest resident memory so far; None where there is no /proc."""
    return _status("VmHWM") if STATUS.exists() else None


def _status(key: str) -> int:
    fields = dict(line.split(":", 1) for line in STATUS.read_text(encoding="utf-8").splitlines())
    return int(fields[key].split()[0]) * 1024  # "123456 kB"
