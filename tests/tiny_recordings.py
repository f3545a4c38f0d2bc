"""A folder like that of the real data: dialogues, voices and faces of all seven emotions."""

import csv
from pathlib import Path

import cv2
import numpy as np
import soundfile

from dcet.runtime.labels import EMOTIONS

SPLIT = "dev"
ACTORS = ("17", "18")
CLIP_S = 0.5
TURNS = (  # of one dialogue: who says what, and how
    ("Ada", "I am so happy!", "joy"),
    ("Ben", "You are angry.", "anger"),
    ("Ada", "I am fine.", "neutral"),
    ("Ben", "They are afraid.", "fear"),
    ("Cleo", "We are so sad.", "sadness"),
)


def write_recordings(folder: Path, dialogues: int = 3) -> Path:
    """Each clip is a tone of its actor's and emotion's own, loud and then soft, which sounds clean;
    each face is a pattern of black and its emotion's grey."""
    for name in ("meld", "ravdess", "ferplus"):
        (folder / name).mkdir(parents=True)
    _write_dialogues(folder / "meld" / f"{SPLIT}_sent_emo.csv", dialogues)
    _write_clips(folder / "ravdess")
    _write_faces(folder / "ferplus")
    return folder


def tone_hz(actor: int, emotion: int) -> int:
    return 200 + 1000 * actor + 100 * emotion


def grey_of(emotion: int) -> int:
    return 100 + 20 * emotion


def write_table(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def _write_dialogues(path: Path, dialogues: int) -> None:
    columns = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
    rows: list[tuple[object, ...]] = [
        (text, speaker, emotion, "neutral", dialogue, place)
        for dialogue in range(dialogues)
        for place, (speaker, text, emotion) in enumerate(TURNS)
    ]
    write_table(path, columns, rows)


def _write_clips(folder: Path) -> None:
    time_s = np.arange(round(16_000 * CLIP_S)) / 16_000
    loudness = np.where(time_s < CLIP_S / 2, 0.1, 0.001)
    rows: list[tuple[object, ...]] = []
    for actor, speaker in enumerate(ACTORS):
        for emotion, label in enumerate(EMOTIONS):
            tone = loudness * np.sin(2 * np.pi * tone_hz(actor, emotion) * time_s)
            soundfile.write(folder / f"{speaker}-{label}.flac", tone, 16_000)
            rows.append((f"{speaker}-{label}.flac", speaker, label, SPLIT))
    write_table(folder / "labels.csv", ("file", "speaker", "label", "split"), rows)


def _write_faces(folder: Path) -> None:
    pattern = np.random.default_rng(0).integers(0, 2, (48, 48), np.uint8)
    mosaic = np.zeros((2 * 48, 7 * 48), np.uint8)
    rows: list[tuple[object, ...]] = []
    for row in range(2):
        for col, label in enumerate(EMOTIONS):
            tile = mosaic[48 * row : 48 * row + 48, 48 * col : 48 * col + 48]
            tile[:] = pattern * (grey_of(col) + row)
            rows.append(("faces_00.png", row, col, SPLIT, label))
    cv2.imwrite(str(folder / "faces_00.png"), mosaic)
    write_table(folder / "labels.csv", ("mosaic", "row", "col", "split", "label"), rows)
