"""The function that builds each engine, imported when that engine is built and not before."""

from functools import partial
from pathlib import Path
from typing import Protocol

from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need


class Builder(Protocol):
    """Builds what an engine needs. It runs in a process of its own with a time limit, and what it
    prints is kept as build.log. It raises whatever says why it cannot."""

    def __call__(self, bundle: Bundle, folder: Path, kept: Path) -> None:
        """Write the files of the engine.

        folder: empty at first; it becomes `cache/KEY/` of the bundle once the engine made of its
            files reproduces the golden sequences
        kept: a folder that outlives builds, for timing caches and the like
        """


def find_builder(engine: str) -> Builder:
    """Import the builder of an engine that `ENGINES` of the runtime says is built.

    Raises MissingExtra, or ConfigError for another engine.
    """
    if engine == "tensorrt":
        from dcet.finalize.tensorrt import build

        return build
    if not engine.startswith("torch-"):
        raise ConfigError(f"engine: expected one that is built, got {engine!r}")
    need("onnx", extra="torch")
    need("torch", extra="torch")
    from dcet.finalize.torch.compilers import build_with_inductor, build_with_tensorrt

    match engine:
        case "torch-tensorrt":
            return build_with_tensorrt
        case "torch-cuda":
            return partial(build_with_inductor, device="cuda")
        case _:
            return partial(build_with_inductor, device="cpu")
