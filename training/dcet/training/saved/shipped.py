"""The checkpoint that ships with the package."""

from importlib.resources import files
from pathlib import Path

SHIPPED = "default"


def folder_of(name: str | Path) -> Path:
    """Return the folder of a checkpoint: of the one that ships, by its name, or `name` itself."""
    if str(name) == SHIPPED:
        return Path(str(files("dcet.training"))) / "checkpoints" / SHIPPED
    return Path(name)
