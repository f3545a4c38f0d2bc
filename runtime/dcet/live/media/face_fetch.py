"""Brings the face detector of OpenCV's repository of models into the user's cache."""

from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from dcet.runtime.errors import ConfigError, DataNotFound
from dcet.runtime.files import atomic_path
from dcet.runtime.senses.detectors.fetched import SIZE_BYTES, check_fetched, fetched_path

TIMEOUT_S = 30


def fetch_yunet(url: str) -> tuple[Path, bool]:
    """Put YuNet where FaceFinder looks for it; return the place, and whether it was not there yet.

    Raises DataNotFound where nothing can be had from `url`, ConfigError where that is not the file
    whose hash is known, WriteError.
    """
    path = fetched_path()
    if path is None:
        raise ConfigError(
            "expected a folder for the user's cache, there is no home; set XDG_CACHE_HOME to one"
        )
    if path.exists() and _is_right(path):
        return path, False
    try:
        with urlopen(url, timeout=TIMEOUT_S) as answer:
            data = answer.read(SIZE_BYTES + 1)
    except (URLError, ValueError, OSError) as error:
        raise DataNotFound(
            f"{url}: could not be fetched ({error}); see whether this machine is online, or give "
            "another address of the same file with --url"
        ) from error
    check_fetched(data, url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return path, True


def _is_right(path: Path) -> bool:
    try:
        check_fetched(path.read_bytes(), path)
    except ConfigError:
        return False
    return True
