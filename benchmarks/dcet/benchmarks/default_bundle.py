"""The bundle that is measured when none is named."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from dcet.runtime.errors import ConfigError, DcetError, MissingExtra
from dcet.runtime.files import user_cache_folder

PATTERN = "dcet-default-*.dcet"
NEEDED_TO_EXPORT = ("torch", "onnx")


class ExportFailed(DcetError, RuntimeError):
    """The default bundle is not there and could not be made."""


def find_default_bundle(folder: Path, say: Callable[[str], None]) -> Path:
    """The newest default bundle in `folder`, else the one in the user's cache, made when absent."""
    here = sorted(folder.glob(PATTERN), key=lambda path: path.stat().st_mtime)
    if here:
        return here[-1]
    cached = cache_folder() / "dcet-default-cpu.dcet"
    if not cached.exists():
        _export(cached, say)
    return cached


def cache_folder() -> Path:
    """Find the user's. Raises ConfigError for a user without a home folder."""
    folder = user_cache_folder()
    if folder is None:
        raise ConfigError("no home folder to keep files in; set XDG_CACHE_HOME to a folder")
    return folder


def _export(output: Path, say: Callable[[str], None]) -> None:
    missing = [module for module in NEEDED_TO_EXPORT if find_spec(module) is None]
    if missing:
        raise MissingExtra(
            f"no {PATTERN} in this folder, and {' and '.join(missing)} to make one is not "
            "installed; name a bundle, or run: pip install 'dcet[export]'"
        )
    say(f"No {PATTERN} in this folder: exporting the shipped checkpoint to {output}")
    output.parent.mkdir(parents=True, exist_ok=True)
    command = ["-m", "dcet.export.cli", "--target", "cpu", "--output", str(output)]
    done = subprocess.run([sys.executable, *command], check=False, stdout=sys.stderr)
    if done.returncode:
        raise ExportFailed(
            f"dcet-export ended with exit code {done.returncode}; it says why above. "
            "Name a bundle instead: dcet-bench latency BUNDLE"
        )
