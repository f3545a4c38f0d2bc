"""The corpora that encoders are trained and evaluated on, and the folder of each."""

from collections.abc import Collection, Mapping
from pathlib import Path

TALK = ("goemotions", "xed", "dailydialog", "topical_chat")  # text from outside MELD
RECOGNISERS = ("recogniser_a", "recogniser_b")  # columns of Topical-Chat: what they wrote
MODALITY_OF = {
    "meld": "text",
    **dict.fromkeys(TALK, "text"),
    "crema_d": "audio",
    "ravdess": "audio",
    "emogator": "audio",
    "ferplus": "face",
}
NEVER_THERE: Mapping[str, Collection[str]] = {"crema_d": ("surprise",)}  # not among those acted


def folder_of(data: Path, corpus: str) -> Path:
    """Return the folder of a corpus: `data` itself, or the one in it of the corpus's name."""
    return data / corpus if (data / corpus).is_dir() else data
