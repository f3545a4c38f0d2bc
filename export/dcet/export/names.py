"""Names of bundles and of their files."""

from collections.abc import Sequence
from pathlib import Path

from dcet.targets import Target
from dcet.training.saved.shipped import SHIPPED


def name_of(checkpoint: str) -> str:
    """Return the name of a checkpoint's bundles."""
    return f"dcet-{checkpoint}" if checkpoint in SHIPPED else Path(checkpoint).resolve().name


def file_name(checkpoints: Sequence[str], target: Target, asked: str | None) -> str:
    """Return the name of a bundle's file, or of a model repository's folder.

    checkpoints: of which it is one
    asked: what sets it apart from the target's plain bundle
    """
    name = name_of(checkpoints[0]) if len(checkpoints) == 1 else "dcet"
    suffix = ".dcet" if target.layout == "bundle" else ""
    return "-".join(filter(None, (name, target.name, asked))) + suffix
