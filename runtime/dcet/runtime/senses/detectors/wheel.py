"""Networks that lie in the wheels of others, of which nothing is imported."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def file_in_wheel(package: str, file: str) -> Path | None:
    """Find a file of a package; None where that is not installed."""
    try:
        wheel = distribution(package)
    except PackageNotFoundError:
        return None
    return Path(str(wheel.locate_file(file)))
