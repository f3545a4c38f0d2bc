"""Arrays and what is said of them in one file of a build that is not done yet; no pickle."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.files import atomic_path


def write_arrays(file: Path, said: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays, and JSON about them. Raises WriteError."""
    with atomic_path(file) as temporary, temporary.open("wb") as opened:
        np.savez(
            opened,
            allow_pickle=False,
            said=np.frombuffer(json.dumps(said).encode(), np.uint8),
            **arrays,
        )


@contextmanager
def open_arrays(file: Path) -> Iterator[tuple[Any, Mapping[str, NDArray[Any]]]]:
    """Open what `write_arrays` wrote: the JSON, and the arrays, each read when it is asked for."""
    with np.load(file, allow_pickle=False) as arrays:
        yield json.loads(arrays["said"].tobytes()), arrays
