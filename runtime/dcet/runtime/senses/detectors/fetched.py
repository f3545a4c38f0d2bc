"""The YuNet file that `dcet-faces fetch` brings: where it comes from and where it lies."""

import hashlib
from pathlib import Path

from dcet.runtime.errors import ConfigError
from dcet.runtime.files import user_cache_folder

# YuNet-s of 2023, Apache-2.0, which OpenCV keeps with Git LFS: the hash is the one that Git has.
URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/"
    "82b38c8f98e7b52aa171400f3e4c722352d0669f/"
    "models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
SIZE_BYTES = 232_589


def fetched_path() -> Path | None:
    """Say where the file lies or would lie; None for a user without a home folder."""
    folder = user_cache_folder()
    return folder and folder / "faces" / URL.rpartition("/")[2]


def check_fetched(data: bytes, where: object) -> None:
    """Raise ConfigError where these bytes are not the file's."""
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        raise ConfigError(
            f"{where}: expected YuNet of {SIZE_BYTES} bytes with SHA-256 {SHA256}, got "
            f"{len(data)} bytes with {found}; it is another file: run dcet-faces fetch for this one"
        )
