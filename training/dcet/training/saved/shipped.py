"""The checkpoints that ship with the package."""

from importlib.resources import files
from pathlib import Path

SHIPPED = ("default", "large")  # the smallest first


def folder_of(name: str | Path) -> Path:
    """Return the folder of one that ships, by its name; anything else is a folder itself.

    A Path always is one, and so is a name with a slash.
    """
    if name in SHIPPED:
        return Path(str(files("dcet.training"))) / "checkpoints" / name
    return Path(name)
