"""Try one engine in a process of its own, with a time limit, and say what became of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.engines.device_cache import Outcome

LOG = "build.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The result of trying one engine."""

    outcome: Outcome
    message: str = ""
    key: str | None = None  # None where it did not get as far as knowing it
    platform: dict[str, str] = field(default_factory=dict)
    damaged: str | None = None  # what was published under this key, and why it cannot be used
    folder: str | None = None  # of what is `kept`
    build_s: float = 0.0
    replay_s: float = 0.0
    parity: tuple[dict[str, Any], ...] = ()


def try_engine(
    bundle: BundleContents, engine: str, folder: Path, kept: Path, timeout_s: float
) -> Attempt:
    """Build in `folder`, which also gets the log, and check the engine.

    Raises OSError where the folder cannot be written.
    """
    arguments = [str(os.getpid()), str(bundle.path), bundle.sha256, engine, str(folder), str(kept)]
    # -P: a file of the folder that this was called in must not be taken for a module.
    # utf8: torch reads files of its own, which are not ASCII, by the locale.
    command = [sys.executable, "-P", "-X", "utf8", "-m", "dcet.finalize.worker", *arguments]
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # so that what it starts can be ended with it
        )
        is_late = False
        try:
            reports, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            is_late = True
            _end(process)
            reports, _ = process.communicate()
        finally:
            _end(process)
    row: dict[str, Any] = {}
    for line in reports.splitlines():
        with contextlib.suppress(ValueError):  # a line that it was killed in
            row |= json.loads(line)
    if is_late:
        why = f"it was not done after {timeout_s:g} s"
        row |= {"outcome": Outcome.HUNG, "message": f"{why}; allow more with --timeout-s"}
    elif process.returncode < 0:
        row |= _killed_by(-process.returncode)
    elif "outcome" not in row:
        why = f"it ended with exit status {process.returncode}"
        row |= {"outcome": Outcome.FAILED, "message": why}
    outcome, parity = Outcome(row["outcome"]), tuple(row.get("parity", ()))
    return Attempt(**{**row, "outcome": outcome, "parity": parity})


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _killed_by(number: int) -> dict[str, str]:
    name = signal.Signals(number).name
    if number == signal.SIGKILL:
        why = (
            f"it was ended by {name}, as the system does when memory runs out; close other "
            "programs or add swap"
        )
        return {"outcome": Outcome.KILLED, "message": why}
    return {"outcome": Outcome.CRASHED, "message": f"it crashed with {name}"}
