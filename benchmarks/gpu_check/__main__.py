"""What works on the GPU of this machine, and how fast: `make gpu-check`, within eight minutes.

It runs from the source tree with the Python that it is given, and installs and fetches nothing.
Every part is a process of its own with a time limit: one that fails, hangs or lacks a package is
named in the report with its reason, and loses none of the others.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
FOLDERS = ("runtime", "targets", "quantization", "training", "export", "benchmarks")
sys.path[:0] = [str(REPO / folder) for folder in FOLDERS]

from gpu_check.parts import BUNDLE, Part, parts_for

from dcet.runtime.files import write_json

SCHEMA = "dcet-gpu-check/1"
MINUTES = 8.0  # for which the limits of the parts are made
RESERVE_S = 5.0  # of the whole time, in which nothing is begun
SHIPPED = REPO / "runtime" / "dcet" / "runtime" / "models" / "default.dcet"


def main() -> None:
    options = _options()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # reasons are in any language
    done_by = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="dcet-gpu-check-") as made:
        report: dict[str, Any] = {"schema": SCHEMA, "device": options.device, "parts": {}}
        shutil.copyfile(SHIPPED, Path(made) / BUNDLE)
        chosen = options.only or [""]
        for part in parts_for(options.device, Path(made), os.environ.get("DCET_DATA")):
            if not any(part.name.startswith(start) for start in chosen):
                continue
            left_s = done_by - RESERVE_S - time.monotonic()
            print(f"{part.name}:", end=" ", flush=True)
            found = run(part, min(part.limit_s * options.minutes / MINUTES, left_s))
            report["parts"][part.name] = found
            print(found["outcome"], found.get("reason", ""), flush=True)
            if part.name == "environment":
                report |= found.get("figures", {})
            path = options.output or _place(report.get("gpu") or options.device)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, report)  # after each part, so that nothing is lost
    print(f"report: {path}")
    if not any(found["outcome"] == "done" for found in report["parts"].values()):
        sys.exit("no part was done")


def run(part: Part, limit_s: float) -> dict[str, Any]:
    """Run a part; return its outcome, its seconds, what it measured, or the reason why not."""
    if part.cannot:
        return {"outcome": "not possible", "reason": part.cannot}
    if missing := [name for name in part.needs if find_spec(name) is None]:
        reason = f"not installed: {', '.join(missing)}"
        return {"outcome": "not possible", "reason": reason}
    if limit_s <= 0:
        return {"outcome": "not begun", "reason": "the time was up"}
    begun = time.monotonic()
    part.log.parent.mkdir(parents=True, exist_ok=True)
    with part.log.open("wb") as log:
        process = subprocess.Popen(
            part.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(part),
            start_new_session=True,
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    found: dict[str, Any] = {"seconds": round(time.monotonic() - begun, 1)}
    if code == 0:
        return {"outcome": "done", **found, "figures": _figures(part)}
    if code is None:
        found |= {"outcome": "stopped", "reason": f"not done within {limit_s:.0f} s"}
    else:
        found |= {"outcome": "failed", "reason": _last_words(part.log) or f"exit code {code}"}
    return found | {"log": _tail(part.log)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make gpu-check", description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all parts together")
    parser.add_argument("--only", nargs="*", help="parts whose names begin so")
    parser.add_argument("--output", type=Path, help="the report, in the place of results/gpu/")
    return parser.parse_args()


def _place(device: str) -> Path:
    """Name the report after the device."""
    name = "".join(sign if sign.isalnum() else "-" for sign in device.lower())
    return REPO / "benchmarks" / "results" / "gpu" / f"{name.strip('-')}.json"


def _environment(part: Part) -> dict[str, str]:
    """Return the environment of a part: our folders, no network, caches that are thrown away."""
    caches = part.log.parent / "cache"
    paths = [str(REPO / folder) for folder in FOLDERS]
    if before := os.environ.get("PYTHONPATH"):
        paths.append(before)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUTF8": "1",
        "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(caches),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
    }


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a part with everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _figures(part: Part) -> Any:
    try:
        return json.loads(part.figures.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a part that only makes what others need


def _last_words(log: Path) -> str:
    """Return the line that says what is wrong: our own errors, else the last of a traceback."""
    lines = [line for line in _tail(log, 200) if line.strip()]
    ours = [line for line in lines if line.startswith("Error: ")]
    faults = [line for line in lines if not line.startswith("This is a fault in DCET")]
    return (ours or faults or [""])[-1]


def _tail(log: Path, count: int = 12) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]


if __name__ == "__main__":
    main()
