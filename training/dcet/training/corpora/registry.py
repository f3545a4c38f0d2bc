"""The corpora that encoders are trained and judged on, and where each of them lies."""

from collections.abc import Collection, Mapping
from pathlib import Path

MODALITY_OF = {"meld": "text", "crema_d": "audio", "ravdess": "audio", "ferplus": "face"}
NEVER_THERE: Mapping[str, Collection[str]] = {"crema_d": ("surprise",)}  # nobody acts it there


def folder_of(data: Path, corpus: str) -> Path:
    """The folder of a corpus, or that which holds it under its name, -> that of the corpus."""
    return data / corpus if (data / corpus).is_dir() else data
