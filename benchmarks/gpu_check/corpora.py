"""Write small corpora in which every emotion has a sign of its own, and what trainings begin with.

They are in the layout of the real ones: meld, crema_d, ravdess and ferplus. Beside them lies the
text encoder of the shipped checkpoint, as Hugging Face has them.
"""

import csv
import json
import sys
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dcet.runtime.labels import EMOTIONS

SIGNS = ("angry", "gross", "scared", "happy", "fine", "sad", "wow")  # a word for each emotion
FILLERS = ("I am so", "that is", "are you", "we were all", "it was not")
VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
VOTE_OF = {"joy": "happiness"}
ACTED = tuple(emotion for emotion in EMOTIONS if emotion != "surprise")  # in CREMA-D
SPEAKERS = (("a", "train"), ("b", "train"), ("c", "dev"), ("d", "dev"))
STUDENT = {"channels": [8, 16, 32], "width": 32}


def main() -> None:
    folder, device = Path(sys.argv[1]), sys.argv[2]
    many = 1 if device == "cpu" else 40
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for split, dialogues in (("train", 8 * many), ("dev", 4 * many)):
        _meld(folder / "meld" / f"{split}_sent_emo.csv", dialogues, rng)
    _crema_d(folder / "crema_d", 2 * many, rng)
    _ravdess(folder / "ravdess", max(1, many // 8), rng)
    _ferplus(folder / "ferplus", 4 * many, rng)
    (folder / "student.json").write_text(json.dumps(STUDENT), encoding="utf-8")
    _text_encoder(folder / "encoder")


def _meld(file: Path, dialogues: int, rng: np.random.Generator) -> None:
    rows: list[dict[str, object]] = []
    for dialogue in range(dialogues):
        for turn in range(int(rng.integers(4, 12))):
            place = int(rng.integers(len(EMOTIONS)))
            rows.append(
                {
                    "Utterance": f"{rng.choice(FILLERS)} {SIGNS[place]}",
                    "Speaker": str(rng.choice(("Ada", "Ben", "Cleo"))),
                    "Emotion": EMOTIONS[place],
                    "Sentiment": "positive" if EMOTIONS[place] == "joy" else "neutral",
                    "Dialogue_ID": dialogue,
                    "Utterance_ID": turn,
                }
            )
    _table(file, rows)


def _crema_d(folder: Path, each: int, rng: np.random.Generator) -> None:
    rows: list[dict[str, object]] = []
    steps = []
    for speaker, split in SPEAKERS:
        for emotion in ACTED * each:
            level = rng.integers(0, 20, (64, 94))
            level[8 * EMOTIONS.index(emotion) :][:8] += 40
            level[0, 0] = 64  # the clip's own maximum
            steps.append(level.astype(np.uint8))
            rows.append({"row": len(rows), "speaker": speaker, "label": emotion, "split": split})
    _table(folder / "labels.csv", rows)
    np.savez_compressed(folder / "logmel64x94.npz", x=np.array(steps))


def _ravdess(folder: Path, each: int, rng: np.random.Generator) -> None:
    rows = []
    seconds = np.arange(16_000) / 16_000
    for speaker, split in SPEAKERS:
        for number, emotion in enumerate(EMOTIONS * each):
            hz = 200 * 2 ** (EMOTIONS.index(emotion) / 2)
            pcm = 0.3 * np.sin(2 * np.pi * hz * seconds) + rng.normal(0, 0.003, len(seconds))
            name = f"{speaker}{number}.wav"
            rows.append({"file": name, "speaker": speaker, "label": emotion, "split": split})
            folder.mkdir(exist_ok=True)
            with wave.open(str(folder / name), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(16_000)
                file.writeframes((pcm * 32767).astype("<i2").tobytes())
    _table(folder / "labels.csv", rows)


def _ferplus(folder: Path, lines: int, rng: np.random.Generator) -> None:
    import cv2

    rows: list[dict[str, object]] = []
    mosaic = rng.integers(0, 60, (lines * 48, len(EMOTIONS) * 48)).astype(np.uint8)
    for line in range(lines):
        for column, emotion in enumerate(EMOTIONS):
            top = 48 * line + 6 * column
            mosaic[top : top + 8, 48 * column : 48 * column + 48] += 150
            votes = {name: 8 if name == VOTE_OF.get(emotion, emotion) else 0 for name in VOTES}
            split = "dev" if line % 4 == 3 else "train"
            place = {"mosaic": "faces.png", "row": line, "col": column}
            rows.append({**place, "split": split, "label": emotion, **votes})
    _table(folder / "labels.csv", rows)
    cv2.imwrite(str(folder / "faces.png"), mosaic)


def _table(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def _text_encoder(folder: Path) -> None:
    """Write the text encoder of the shipped checkpoint as Hugging Face has them."""
    from dcet.training.saved import checkpoint

    loaded = checkpoint.load("default")
    loaded.model.text.backbone.save_pretrained(folder)
    loaded.tokenizer.save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    main()
