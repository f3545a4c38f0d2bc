"""Write a folder of labelled turns."""

import json
from pathlib import Path

from dcet.data.media import write_wav
from dcet.data.turns import TABLE, LabelledTurn, Turns
from dcet.runtime.errors import WriteError
from dcet.runtime.extras import need
from dcet.runtime.files import atomic_folder
from dcet.runtime.labels import EMOTIONS

README = "README.txt"


def write_turns(turns: Turns, folder: Path, about: str) -> None:
    """Write `turns` so that `read_turns` reads the same; audio must be int16.

    about: the text of README.txt

    Raises WriteError, or MissingExtra without OpenCV.
    """
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
    """Write audio and faces of a turn; return its line, but for the conversation."""
    cv2 = need("cv2", extra="faces")
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
