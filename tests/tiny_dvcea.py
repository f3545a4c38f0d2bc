"""DVCEA data sets of random features, for tests."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dcet.data.dvcea import DvceaUtterance
from dcet.dvcea.writer import About, write_dvcea
from dcet.runtime.labels import EMOTIONS

WIDTHS = {"visual": 6, "audio": 5, "text": 4}
STEP_US = 200_000
ABOUT = About(
    name="tiny",
    widths=WIDTHS,
    encoders={
        name: {
            "name": name,
            "kind": "random",
            "sha256": "0" * 64,
            "layer": -1,
            "pooling": "mean",
            "precision": "fp32",
            "step_us": STEP_US,
        }
        for name in WIDTHS
    },
    isolation={"faces": "none", "persons": None, "speaker": "none"},
    licences={"videos": "CC0-1.0"},
)


def utterances(
    count: int = 40, *, widths: dict[str, int] = WIDTHS, items: int = 8, seed: int = 0
) -> Iterator[DvceaUtterance]:
    """Dialogues of four turns; three quarters of train. Every fifth turn lacks its face, every
    seventh its sound. The emotion can be heard and seen: a feature of its own is larger."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        emotion = number * 3 % 7
        count_of = {"visual": 0 if number % 5 == 4 else items, "audio": 0 if number % 7 == 6 else 4}
        features, times = {}, {}
        for name, n in count_of.items():
            made = draw.normal(size=(n, widths[name])).astype(np.float32)
            made[:, emotion % widths[name]] += 4
            features[name] = made if n else None
            times[name] = np.arange(n) * STEP_US + STEP_US // 2 if n else None
        text = draw.normal(size=widths["text"]).astype(np.float32)
        yield DvceaUtterance(
            split="dev" if number % 16 >= 12 else "train",
            dialogue=str(number // 4),
            utterance=number % 4,
            speaker="ab"[number % 2],
            emotion=EMOTIONS[emotion],
            sentiment="negative",
            text=f"words {number}",
            source=f"dia{number // 4}_utt{number % 4}.mp4",
            source_sha256=f"{number:064x}",
            part_start_us=None,
            part_end_us=None,
            start_us=number % 4 * 2_000_000,
            end_us=number % 4 * 2_000_000 + 1_600_000,
            picture_us=1_600_000,
            sound_us=1_600_000,
            visual_quality=0.5 if count_of["visual"] else 0.0,
            audio_quality=0.75 if count_of["audio"] else 0.0,
            text_quality=1.0,
            frames=items,
            face_frames=count_of["visual"],
            track=1 if count_of["visual"] else None,
            confidence=0.875,
            reason="the only face",
            visual=features["visual"],
            visual_us=times["visual"],
            audio=features["audio"],
            audio_us=times["audio"],
            text_features=text,
        )


def write_tiny(folder: Path, count: int = 48) -> Path:
    """A small set, whose splits are in the order of the first dialogue of each."""
    made = sorted(utterances(count), key=lambda said: said.split != "train")
    nobody = dict.fromkeys(("split", "dialogue", "utterance"))
    aside = {"source": "x.mp4", **nobody, "error": "UnusableMedia", "reason": "-"}
    write_dvcea(folder, made, ABOUT, [aside])
    return folder
