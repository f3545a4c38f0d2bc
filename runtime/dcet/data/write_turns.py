"""Constructed conversations as a folder of labelled turns, to calibrate and compare models on."""

import json
from pathlib import Path

import cv2
import numpy as np

from dcet.data.constructed import CONSTRUCTED, Scene, construct, read_material
from dcet.data.media import write_wav
from dcet.data.turns import TABLE, LabelledTurn, Turns
from dcet.runtime.errors import ConfigError, WriteError
from dcet.runtime.files import atomic_folder
from dcet.runtime.labels import EMOTIONS

README = "README.txt"
ABOUT = f"""Labelled turns for DCET, written by: dcet-train turns

Split {{split}}, {{dialogues}} dialogues, seed {{seed}}: {{turns}} turns.

{CONSTRUCTED}.
A figure on it compares models with each other and is no accuracy in the world.

Licences: MELD is GPL-3.0, RAVDESS CC BY-NC-SA 4.0, the faces of FER+ are for research only. Do not
pass this folder on.
"""


def write_constructed_turns(
    data: Path, split: str, output: Path, *, dialogues: int, seed: int
) -> Turns:
    """Write `meld`, `ravdess` and `ferplus` of `data` as one set, over what was written so before.

    Raises ConfigError where `output` is something else; DataError, WriteError.
    """
    if output.exists() and not (output / TABLE).is_file():
        raise ConfigError(
            f"{output}: expected no such folder, or one of labelled turns to replace, got "
            "something else; name another --output"
        )
    scenes = construct(read_material(data, split), dialogues, seed)
    turns = Turns(
        output.resolve().name,
        {f"dialogue {n}": tuple(map(_turn, part)) for n, part in enumerate(scenes, start=1)},
    )
    about = ABOUT.format(split=split, dialogues=len(scenes), seed=seed, turns=len(turns))
    write_turns(turns, output, about)
    return turns


def write_turns(turns: Turns, folder: Path, about: str) -> None:
    """Write what `read_turns` reads as the same; sound must be int16. Raises WriteError."""
    with atomic_folder(folder) as new:
        (new / "audio").mkdir()
        (new / "faces").mkdir()
        rows: list[str] = []
        for name, part in turns.conversations.items():
            for turn in part:
                row = {"conversation": name, **_write_media(turn, new, f"{len(rows) + 1:05}")}
                rows.append(json.dumps(row, ensure_ascii=False) + "\n")
        (new / TABLE).write_text("".join(rows), encoding="utf-8")
        (new / README).write_text(about, encoding="utf-8")


def _write_media(turn: LabelledTurn, folder: Path, number: str) -> dict[str, object]:
    """The line of a turn, but for its conversation."""
    audio = None
    if turn.audio is not None:
        audio = f"audio/{number}.wav"
        write_wav(folder / audio, turn.audio, turn.sample_rate_hz)
    faces = [f"faces/{number}-{i}.png" for i in range(len(turn.faces))]
    for face, pixels in zip(faces, turn.faces, strict=True):
        if not cv2.imwrite(str(folder / face), pixels[..., ::-1]):
            raise WriteError(f"could not write {folder / face}; free some space and try again")
    return {
        "speaker": turn.speaker,
        "emotion": EMOTIONS[turn.emotion],
        "text": turn.text,
        "audio": audio,
        "faces": faces,
    }


def _turn(scene: Scene) -> LabelledTurn:
    faces = [] if scene.faces is None else list(scene.faces)
    return LabelledTurn(
        speaker=scene.speaker,
        emotion=scene.emotion,
        text=scene.text,
        audio=None if scene.audio is None else np.round(scene.audio * 2**15).astype(np.int16),
        faces=tuple(np.repeat(face[..., None], 3, axis=2) for face in faces),
    )
