"""Try the engines of a bundle in order, until one reproduces the golden sequences here."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dcet.finalize.attempt import LOG, Attempt, try_engine
from dcet.finalize.lock import locked
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.engines.device_cache import (
    FAILURE,
    LIMITS,
    QUARANTINE,
    RECORD,
    UNKNOWN_PLATFORM,
    Outcome,
    Record,
    cache_folders,
    cache_key,
    hash_file,
    read_records,
)
from dcet.runtime.engines.registry import ENGINES, find_factory
from dcet.runtime.errors import ConfigError, DcetError, WriteError
from dcet.runtime.files import write_json

BUILDING = ".building-"
KEPT = "kept"
MAX_TIMEOUT_S = 7 * 24 * 3600


class FinalizeError(DcetError, RuntimeError):
    """No engine that was allowed works on this device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallen:
    """An engine that was tried, or could not be, and why it was passed over."""

    engine: str
    outcome: Outcome
    message: str
    quarantine: str | None = None  # the folder with its log

    def __str__(self) -> str:
        place = f" (see {self.quarantine})" if self.quarantine else ""
        return f"{self.engine}: {self.outcome}: {self.message}{place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalized:
    """The engine that runs the bundle on this device from now on."""

    bundle: str
    target: str
    engine: str
    outcome: Outcome  # BUILT, CHECKED or KEPT
    folder: str
    record: Record
    fallen: tuple[Fallen, ...]

    @property
    def largest_difference(self) -> float:
        """The largest difference of a probability or feature from torch."""
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
    timeout_s: for each engine
    notify: is told what happens

    Raises FinalizeError where no engine that is allowed works, WriteError where nothing can be
    written, ConfigError for an unknown engine or a timeout that is none, BundleError for what is
    wrong with the bundle.
    """
    if not 0 < timeout_s <= MAX_TIMEOUT_S:  # NaN is neither
        raise ConfigError(
            f"timeout_s: expected more than 0 and at most {MAX_TIMEOUT_S:,} seconds, got "
            f"{timeout_s:g}"
        )
    if engine is not None:
        find_factory(engine)
    bundle = Bundle.open(path)
    choices = (engine,) if engine is not None else bundle.manifest.engines
    fallen: list[Fallen] = []
    with _cache(bundle, notify) as cache:
        for name in choices[:1] if strict else choices:
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
    asked, cure = "any of its engines", f"try them again with: dcet-finalize {bundle.path}"
    if engine is not None:
        asked, cure = f"{engine}, the engine asked for,", "leave --engine out to try all of them"
    elif strict:
        asked, cure = f"its first engine, {choices[0]},", "leave --strict out to try the next one"
    raise FinalizeError(
        f"{bundle.path}: expected {asked} to work on this device, got: "
        f"{'; '.join(map(str, fallen))}; {cure}"
    )


def _try(
    bundle: Bundle, cache: Path, engine: str, timeout_s: float, notify: Callable[[str], None]
) -> Fallen | tuple[Path, Outcome]:
    """Return what was published and how it came to be, or why there is nothing to publish."""
    if engine not in ENGINES:
        message = "this version of dcet does not know it; run: pip install --upgrade dcet"
        return Fallen(engine=engine, outcome=Outcome.MISSING, message=message)
    folder = cache / f"{BUILDING}{os.getpid()}"
    try:
        folder.mkdir()
        (cache / KEPT).mkdir(exist_ok=True)
        attempt = try_engine(bundle, engine, folder, cache / KEPT, timeout_s)
        if attempt.key is not None:  # what an earlier run could not even read
            unknown = cache_key(bundle, engine, UNKNOWN_PLATFORM)
            for stale in (cache / QUARANTINE).glob(f"{unknown}-*"):
                shutil.rmtree(stale)
        if attempt.folder is not None:
            return Path(attempt.folder), Outcome.KEPT
        if attempt.outcome in (Outcome.BUILT, Outcome.CHECKED):
            if attempt.damaged is not None:
                notify(f"{engine}: {attempt.damaged}")
            return _publish(cache, folder, engine, attempt), attempt.outcome
        fallen = Fallen(engine=engine, outcome=attempt.outcome, message=attempt.message)
        if attempt.outcome is Outcome.MISSING or (
            attempt.outcome in LIMITS and not _is_lost(bundle, engine, attempt)
        ):
            return fallen  # nothing is known against it
        key = attempt.key or cache_key(bundle, engine, UNKNOWN_PLATFORM)
        return _quarantine(cache, folder, fallen, key)
    except DcetError:
        raise
    except OSError as error:
        raise WriteError(
            f"could not write in {cache}: {error}. Nothing was published; free some space, or "
            "remove what is in the way, and run dcet-finalize again"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_lost(bundle: Bundle, engine: str, attempt: Attempt) -> bool:
    """Tell whether a run that was cut short leaves no way to run the engine: it needs building, and
    no earlier run built it."""
    if not ENGINES[engine].is_built:
        return False
    worked = any(record.engine == engine for record in read_records(bundle))
    return attempt.key is not None or not worked


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
        damaged = Fallen(engine=engine, outcome=Outcome.DAMAGED, message=attempt.damaged or "")
        _set_aside(cache, place, damaged, record.key)
    folder.rename(place)
    _flush(cache)
    return place


def _quarantine(cache: Path, folder: Path, fallen: Fallen, key: str) -> Fallen:
    """Set aside the log of what failed, and what was built where it is wrong."""
    if fallen.outcome is not Outcome.WRONG:
        for path in folder.iterdir():
            if path.name != LOG:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        return replace(fallen, quarantine=str(_set_aside(cache, folder, fallen, key)))
    except OSError:  # the disk is full; what it says of the engine is worth more
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
    """Lock the first of the bundle's caches that can be written, and remove leftovers."""
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
