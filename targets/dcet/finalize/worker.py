"""One engine, tried in a process of its own: a builder may crash, hang or be killed without harm.

It reports in lines of JSON on what was its standard output: `key` and `platform`, `damaged` where
what was published is no longer whole, and at last an `outcome`. Whatever else is printed, by a
builder or by a library, goes to standard error.
"""

import ctypes
import errno
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from dcet.finalize.builders import find_builder
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.golden import label_note, replay_golden, rows_too_far
from dcet.runtime.conversation import Conversation
from dcet.runtime.engines.device_cache import Outcome, cache_key, find_published
from dcet.runtime.engines.engine import Engine
from dcet.runtime.engines.registry import find_factory
from dcet.runtime.errors import DcetError, EngineError, MissingExtra
from dcet.synthetic.probes import faces, speech

_PR_SET_PDEATHSIG = 1
OUT_OF_MEMORY = ("out of memory", "bad_alloc", "bad allocation", "Failed to allocate memory")
MUCH = 60  # seconds, faces and words: more than any graph takes

Report = dict[str, Any]


def main() -> None:
    parent, path, sha256, engine, folder, kept = sys.argv[1:]
    die_with(int(parent))
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def write(report: Report) -> None:
        print(json.dumps(report), file=reports, flush=True)

    def write_failure(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        message = str(error) if isinstance(error, DcetError) else f"{kind.__name__}: {error}"
        outcome = Outcome.KILLED if ran_out_of_memory(error) else Outcome.FAILED
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            message += f"; free some space for {folder}, and run dcet-finalize again"
        write({"outcome": outcome, "message": message})
        traceback.print_exception(kind, error, trace)

    sys.excepthook = write_failure
    for report in attempt(Bundle.open(path, verified=sha256), engine, Path(folder), Path(kept)):
        write(report)


def ran_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out: engines have no class of their own for it."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in OUT_OF_MEMORY)


def die_with(parent: int) -> None:
    """End this process with dcet-finalize, without which nothing would publish what it builds."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("dcet-finalize is gone")


def attempt(bundle: Bundle, engine: str, folder: Path, kept: Path) -> Iterator[Report]:
    """Build in `folder` what the engine needs, and replay the golden sequences on it."""
    factory = find_factory(engine)
    try:
        platform = factory.platform()
    except (MissingExtra, EngineError) as error:
        yield {"outcome": Outcome.MISSING, "message": str(error)}
        return
    key = cache_key(bundle, engine, platform)
    yield {"key": key, "platform": platform}
    try:
        there = find_published(bundle, key)
    except EngineError as error:
        yield {"damaged": str(error)}
    else:
        if there is not None:
            yield {"outcome": Outcome.KEPT, "folder": str(there)}
            return

    started = time.perf_counter()
    if factory.is_built:
        find_builder(engine)(bundle, folder, kept)
        for path in folder.rglob("*"):
            if path.is_symlink():
                raise EngineError(f"{path}: expected a regular file of the builder, got a link")
    built = time.perf_counter()
    opened = factory.open(bundle, "dcet-finalize tries it", folder)
    rows = replay_golden(bundle, opened)
    replayed = time.perf_counter()
    wrong = rows_too_far(rows)
    if not wrong:
        rehearse(bundle, opened)
    right = Outcome.BUILT if factory.is_built else Outcome.CHECKED
    yield {
        "outcome": Outcome.WRONG if wrong else right,
        "message": "; ".join(
            f"golden sequence {row.case!r}: expected at most {row.tolerance} from torch, "
            f"got {row.max_abs_probability:.2e}" + label_note(row)
            for row in wrong
        ),
        "build_s": built - started,
        "replay_s": replayed - built,
        "parity": [asdict(row) for row in rows],
    }


def rehearse(bundle: Bundle, engine: Engine) -> None:
    """Hold a conversation as a host does: states may stay on the device, and each graph runs the
    least and the most that it takes. Raises EngineError."""
    conversation = Conversation(bundle, engine)
    encoded = {name for name, row in bundle.manifest.modalities.items() if row.encoder}
    for speaker, times in (("a speaker", 1), ("another", MUCH), ("a speaker", MUCH)):
        conversation.turn(
            speaker,
            "Well. " * times,
            speech(times) if "audio" in encoded else None,
            list(faces(times, 96, 80, seed=0)) if "face" in encoded else None,
        )


if __name__ == "__main__":
    main()
