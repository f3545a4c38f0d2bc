"""Names of bundles and of their files."""

from pathlib import Path

from dcet.targets import Target


def name_of(checkpoint: str) -> str:
    """Return the name of a checkpoint's bundles."""
    return "dcet-default" if checkpoint == "default" else Path(checkpoint).resolve().name


def file_name(checkpoint: str, target: Target, asked: str | None) -> str:
    """Return the name of a bundle's file, or of a model repository's folder.

    asked: what sets it apart from the target's plain bundle
    """
    suffix = ".dcet" if target.layout == "bundle" else ""
    return "-".join(filter(None, (name_of(checkpoint), target.name, asked))) + suffix
