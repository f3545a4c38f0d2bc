"""Cold start: import, open, first estimate, each in processes that did nothing before.

The files are in the system's cache after the first repetition; the disk is not what is measured.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from dcet.benchmarks.progress import Track
from dcet.runtime.errors import DcetError


class ColdStartFailed(DcetError, RuntimeError):
    """A fresh process that opened the bundle did not come to an estimate."""


@dataclass(frozen=True, kw_only=True)
class ColdStartRun:
    import_s: float  # import dcet.runtime
    open_s: float  # Bundle.open
    first_estimate_s: float  # Conversation and its first turn; loads tokenizer and engine
    peak_rss_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Medians, and the runs they were taken from."""

    import_s: float
    open_and_first_estimate_s: float
    peak_rss_bytes: int | None
    runs: tuple[ColdStartRun, ...]


def measure_cold_start(path: Path, engine: str, repetitions: int, track: Track) -> ColdStart:
    runs = tuple(_probe(path, engine) for _ in track(range(repetitions), "cold start"))
    peaks = [run.peak_rss_bytes for run in runs if run.peak_rss_bytes is not None]
    return ColdStart(
        import_s=median(run.import_s for run in runs),
        open_and_first_estimate_s=median(run.open_s + run.first_estimate_s for run in runs),
        peak_rss_bytes=int(median(peaks)) if peaks else None,
        runs=runs,
    )


def _probe(path: Path, engine: str) -> ColdStartRun:
    command = [sys.executable, "-m", "dcet.benchmarks.latency.cold_start_probe", str(path), engine]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ColdStartFailed(f"{path}: no estimate in a fresh process: {reason}")
    return ColdStartRun(**json.loads(done.stdout))
