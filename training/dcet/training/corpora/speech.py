"""Acted speech to train and judge the audio encoder on: CREMA-D as log-mels, RAVDESS as sound."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import soundfile
import torch
from torch import Tensor

from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from dcet.runtime.errors import DataError, DataNotFound, MissingColumn, UnknownLabel
from dcet.runtime.labels import EMOTIONS
from dcet.training.network.audio_encoder import AudioEncoder, sums
from dcet.training.network.log_mel import FLOOR_DB, MELS, STEPS, LogMel

CREMA_D_STEP_DB = 1.25


@dataclass(frozen=True, slots=True)
class Speech:
    """n clips, in the order of the table."""

    level: Tensor  # (n, 64, 94) log-mels in [0, 1], 0 is the floor
    emotion: Tensor  # (n,)
    speaker: Tensor  # (n,) numbers from 0
    pcm: Tensor | None  # (n, 48000) where the corpus has sound

    def __len__(self) -> int:
        return len(self.emotion)

    def only(self, chosen: Tensor) -> "Speech":
        """The clips for which `chosen` (n,) is true, in the same order."""
        pcm = None if self.pcm is None else self.pcm[chosen]
        return Speech(self.level[chosen], self.emotion[chosen], self.speaker[chosen], pcm)


def read_speech(corpus: str, folder: Path, split: str) -> Speech:
    """`crema_d` or `ravdess`: the clips of `split` ('train' or another that the table names).

    Raises DataError where files are missing or are not what the table says.
    """
    place = "row" if corpus == "crema_d" else "file"
    table = read_table(folder / "labels.csv", ("label", "split", "speaker", place))
    rows = [row for row in table if row["split"] == split]
    if not rows:
        raise DataError(f"{folder / 'labels.csv'}: expected clips of the split {split!r}, got none")
    numbers: dict[str, int] = {}
    speaker = torch.tensor([numbers.setdefault(row["speaker"], len(numbers)) for row in rows])
    emotion = labels(rows, folder)
    if corpus == "crema_d":
        return Speech(_crema_d(folder / "logmel64x94.npz", rows), emotion, speaker, None)
    pcm = torch.stack([_sound(folder / row["file"]) for row in rows])
    log_mel = LogMel()
    with torch.inference_mode():
        level = torch.cat([AudioEncoder.level(log_mel(part)) for part in pcm.split(32)])
    return Speech(level.clone(), emotion, speaker, pcm)


def earlier_voice(speech: Speech) -> Tensor:
    """(n, 3, 64): what each clip's speaker said in earlier clips, nothing of later ones."""
    heard = sums(speech.level)
    before = torch.empty_like(heard)
    for speaker in speech.speaker.unique():
        of_speaker = speech.speaker == speaker
        so_far = heard[of_speaker].cumsum(dim=0)
        before[of_speaker] = torch.cat([torch.zeros_like(so_far[:1]), so_far[:-1]])
    return before


def read_table(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV that has at least these columns."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            reader = csv.DictReader(opened)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataNotFound(f"{file}: cannot read the table ({error}); give its folder") from error
    for column in columns:
        if column not in (reader.fieldnames or ()):
            raise MissingColumn(f"{file}: expected a column {column!r}, got {reader.fieldnames}")
    return rows


def labels(rows: Sequence[dict[str, str]], folder: Path) -> Tensor:
    """(n,) indices into EMOTIONS."""
    for row in rows:
        if row["label"] not in EMOTIONS:
            raise UnknownLabel(
                f"{folder / 'labels.csv'}: expected one of {', '.join(EMOTIONS)}, "
                f"got {row['label']!r}"
            )
    return torch.tensor([EMOTIONS.index(row["label"]) for row in rows])


def _crema_d(file: Path, rows: Sequence[dict[str, str]]) -> Tensor:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            steps = arrays["x"]
        taken = steps[[int(row["row"]) for row in rows]]
    except (OSError, EOFError, BadZipFile, KeyError, ValueError, IndexError) as error:
        raise DataError(f"{file}: cannot read the log-mels ({error})") from error
    if taken.shape[1:] != (MELS, STEPS) or taken.dtype != np.uint8:
        raise DataError(
            f"{file}: expected x uint8 (n, {MELS}, {STEPS}), got {steps.dtype} {steps.shape}"
        )
    return torch.from_numpy(taken).float() * (CREMA_D_STEP_DB / -FLOOR_DB)


def _sound(file: Path) -> Tensor:
    try:
        samples, rate = soundfile.read(file, dtype="float32", frames=WINDOW_SAMPLES)
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(f"{file}: cannot read the sound ({error})") from error
    if rate != SAMPLE_RATE_HZ or samples.ndim != 1:
        raise DataError(
            f"{file}: expected mono at {SAMPLE_RATE_HZ} Hz, got {samples.shape} at {rate} Hz"
        )
    return torch.nn.functional.pad(torch.from_numpy(samples), (0, WINDOW_SAMPLES - len(samples)))
