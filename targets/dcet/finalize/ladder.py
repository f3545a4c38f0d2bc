"""Down the ladder of a bundle, until a rung reproduces the golden sequences on this device."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dcet.finalize.attempt import LOG, Attempt, try_rung
from dcet.finalize.lock import locked
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.engines.device_cache import (
    FAILURE,
    QUARANTINE,
    RECORD,
    UNKNOWN_PLATFORM,
    Record,
    cache_folders,
    cache_key,
    hash_file,
    read_records,
)
from dcet.runtime.engines.registry import ENGINES, find_rung
from dcet.runtime.errors import DcetError, WriteError
from dcet.runtime.files import write_json

BUILDING = ".building-"
KEPT = "kept"


class FinalizeError(DcetError, RuntimeError):
    """No rung that was allowed works on this device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """A rung that was tried, or could not be, and why it was passed over."""

    engine: str
    outcome: str
    message: str
    quarantine: str | None = None  # the folder with its log

    def __str__(self) -> str:
        place = f" (see {self.quarantine})" if self.quarantine else ""
        return f"{self.engine}: {self.outcome}: {self.message}{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalized:
    """What runs the bundle on this device from now on."""

    bundle: str
    target: str
    engine: str
    outcome: (
        str  # `built`, `checked` where there is nothing to build, or `kept` from an earlier run
    )
    folder: str
    record: Record
    fallen: tuple[Fallen, ...]

    @property
    def largest_difference(self) -> float:
        """Of a probability or feature from torch."""
        return max(float(row["max_abs_probability"]) for row in self.record.parity)


def finalize(
    path: Path | str,
    *,
    engine: str | None = None,
    strict: bool = False,
    timeout_s: float = 3600.0,
    notify: Callable[[str], None] = lambda message: None,
) -> Finalized:
    """Build, check and publish the best engine of a bundle that works on this device.

    engine: this one and no other; else each of the bundle's, best first
    strict: the first or none
    timeout_s: for each rung
    notify: is told what happens

    Raises FinalizeError where no rung that is allowed works, WriteError where nothing can be
    written, ConfigError for an unknown engine, BundleError for what is wrong with the bundle.
    """
    bundle = Bundle.open(path)
    if engine is not None:
        find_rung(engine)
    ladder = (engine,) if engine is not None else bundle.manifest.engines
    fallen: list[Fallen] = []
    with _cache(bundle, notify) as cache:
        for name in ladder[:1] if strict else ladder:
            notify(f"{name}: trying it")
            done = _try(bundle, cache, name, timeout_s, notify)
            if not isinstance(done, Fallen):
                folder, outcome = done
                return Finalized(
                    bundle=str(bundle.path),
                    target=bundle.manifest.target,
                    engine=name,
                    outcome=outcome,
                    folder=str(folder),
                    record=Record.read(folder),
                    fallen=tuple(fallen),
                )
            fallen.append(done)
            notify(str(done))
    asked, cure = "any of its engines", "the logs say more"
    if engine is not None:
        asked, cure = f"{engine}, the engine asked for,", "leave --engine out to try all of them"
    elif strict:
        asked, cure = f"its first engine, {ladder[0]},", "leave --strict out to try the next one"
    raise FinalizeError(
        f"{bundle.path}: expected {asked} to work on this device, got: "
        f"{'; '.join(map(str, fallen))}; {cure}"
    )


def _try(
    bundle: Bundle, cache: Path, engine: str, timeout_s: float, notify: Callable[[str], None]
) -> Fallen | tuple[Path, str]:
    """What was published and how it came to be, or why there is nothing to publish."""
    if engine not in ENGINES:
        message = "this version of dcet does not know it; run: pip install --upgrade dcet"
        return Fallen(engine=engine, outcome="missing", message=message, quarantine=None)
    folder = cache / f"{BUILDING}{os.getpid()}"
    try:
        folder.mkdir()
        (cache / KEPT).mkdir(exist_ok=True)
        attempt = try_rung(bundle.path, engine, folder, cache / KEPT, timeout_s)
        if attempt.key is not None:  # what an earlier run could not even read
            unknown = cache_key(bundle, engine, UNKNOWN_PLATFORM)
            for stale in (cache / QUARANTINE).glob(f"{unknown}-*"):
                shutil.rmtree(stale)
        if attempt.folder is not None:
            return Path(attempt.folder), "kept"
        if attempt.outcome == "right":
            if attempt.damaged is not None:
                notify(f"{engine}: {attempt.damaged}")
            outcome = "built" if ENGINES[engine].is_built else "checked"
            return _publish(cache, folder, engine, attempt), outcome
        fallen = Fallen(engine=engine, outcome=attempt.outcome, message=attempt.message)
        was_stopped = attempt.key is None and attempt.outcome in ("hung", "killed")
        worked = any(record.engine == engine for record in read_records(bundle))
        if attempt.outcome == "missing" or (was_stopped and worked):
            return fallen  # nothing is known against it
        key = attempt.key or cache_key(bundle, engine, UNKNOWN_PLATFORM)
        return _quarantine(cache, folder, fallen, key)
    except DcetError:
        raise
    except OSError as error:
        raise WriteError(
            f"could not write in {cache}: {error.strerror or error}. Nothing was published; "
            "free some space, and run dcet-finalize again"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(cache: Path, folder: Path, engine: str, attempt: Attempt) -> Path:
    """Give the folder its name, once all of it is on the disk."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        _flush(path)
    record = Record(
        key=attempt.key or "",
        engine=engine,
        platform=attempt.platform,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        build_s=attempt.build_s,
        replay_s=attempt.replay_s,
        parity=attempt.parity,
        files={path.relative_to(folder).as_posix(): hash_file(path) for path in files},
    )
    write_json(folder / RECORD, record.to_json())
    place = cache / record.key
    if place.exists():
        damaged = Fallen(engine=engine, outcome="damaged", message=attempt.damaged or "")
        _set_aside(cache, place, damaged, record.key)
    folder.rename(place)
    _flush(cache)
    return place


def _quarantine(cache: Path, folder: Path, fallen: Fallen, key: str) -> Fallen:
    """Set aside the log of what failed, and what was built where it is wrong."""
    if fallen.outcome != "wrong":
        for path in folder.iterdir():
            if path.name != LOG:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        return replace(fallen, quarantine=str(_set_aside(cache, folder, fallen, key)))
    except OSError:  # the disk is full; what it says of the rung is worth more
        return fallen


def _set_aside(cache: Path, folder: Path, fallen: Fallen, key: str) -> Path:
    place = cache / QUARANTINE / f"{key}-{fallen.outcome}"
    row = {"engine": fallen.engine, "outcome": fallen.outcome, "message": fallen.message}
    write_json(folder / FAILURE, row)
    place.parent.mkdir(exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    folder.rename(place)
    return place


def _flush(path: Path) -> None:
    """Let a file or folder survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _cache(bundle: Bundle, notify: Callable[[str], None]) -> Iterator[Path]:
    """The first of the bundle's caches that can be written, locked, without leftovers."""
    refused = []
    for cache in cache_folders(bundle):
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(cache, notify))
            except OSError as error:
                refused.append(f"{cache}: {error.strerror}")
                continue
            for leftover in cache.glob(f"{BUILDING}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield cache
            return
    raise WriteError(
        f"{bundle.path}: expected a folder to keep what is built, got: "
        f"{'; '.join(refused) or 'no home folder'}; set XDG_CACHE_HOME to one that can be written"
    )
