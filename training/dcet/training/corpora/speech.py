"""Acted speech to train and evaluate the audio encoder on: CREMA-D as log-mels, RAVDESS as PCM."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from dcet.data.recordings import FILE, Clip, read_clips, read_labels
from dcet.data.tables import Row
from dcet.runtime.arrays import WINDOW_SAMPLES
from dcet.runtime.errors import DataError
from dcet.training.network.audio_encoder import AudioEncoder, sums
from dcet.training.network.log_mel import FLOOR_DB, MELS, STEPS, LogMel

CREMA_D_STEP_DB = 1.25


@dataclass(frozen=True, slots=True)
class Speech:
    """n clips, in the order of the table."""

    level: Tensor  # (n, 64, 94) log-mels in [0, 1], 0 is the floor
    emotion: Tensor  # (n,)
    speaker: Tensor  # (n,) numbers from 0
    pcm: Tensor | None  # (n, 48000); None where the corpus has log-mels alone

    def __len__(self) -> int:
        return len(self.emotion)

    def only(self, chosen: Tensor) -> "Speech":
        """Return the clips for which `chosen` (n,) is true, in the same order."""
        pcm = None if self.pcm is None else self.pcm[chosen]
        return Speech(self.level[chosen], self.emotion[chosen], self.speaker[chosen], pcm)


def read_speech(corpus: str, folder: Path, split: str) -> Speech:
    """Read the clips of `split` from `crema_d` or `ravdess`.

    Raises DataError where files are missing or are not what the table says.
    """
    rows = read_labels(folder, split, ("row",) if corpus == "crema_d" else FILE, ("speaker",))
    numbers: dict[str, int] = {}
    speaker = torch.tensor([numbers.setdefault(row.text("speaker"), len(numbers)) for row in rows])
    emotion = torch.tensor([row.emotion() for row in rows])
    if corpus == "crema_d":
        return Speech(_crema_d(folder / "logmel64x94.npz", rows), emotion, speaker, None)
    pcm = torch.stack([_window(clip) for clip in read_clips(folder, rows)])
    log_mel = LogMel()
    with torch.inference_mode():
        level = torch.cat([AudioEncoder.level(log_mel(part)) for part in pcm.split(32)])
    return Speech(level.clone(), emotion, speaker, pcm)


def earlier_voice(speech: Speech) -> Tensor:
    """Return the voice of each clip's speaker in their earlier clips, (n, 3, 64)."""
    totals = sums(speech.level)
    before = torch.empty_like(totals)
    for speaker in speech.speaker.unique():
        of_speaker = speech.speaker == speaker
        so_far = totals[of_speaker].cumsum(dim=0)
        before[of_speaker] = torch.cat([torch.zeros_like(so_far[:1]), so_far[:-1]])
    return before


def _crema_d(file: Path, rows: Sequence[Row]) -> Tensor:
    numbers = [row.whole_number("row") for row in rows]
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            steps = arrays["x"]
        taken = steps[numbers]
    except (OSError, EOFError, BadZipFile, KeyError, ValueError, IndexError) as error:
        raise DataError(f"{file}: cannot read the log-mels ({error}); fetch it again") from error
    if taken.shape[1:] != (MELS, STEPS) or taken.dtype != np.uint8:
        raise DataError(
            f"{file}: expected x uint8 (n, {MELS}, {STEPS}), got {steps.dtype} {steps.shape}"
        )
    return torch.from_numpy(taken).float() * (CREMA_D_STEP_DB / -FLOOR_DB)


def _window(clip: Clip) -> Tensor:
    """Cut or pad a clip to one window, (48000,)."""
    cut = torch.from_numpy(clip[:WINDOW_SAMPLES])
    return torch.nn.functional.pad(cut, (0, WINDOW_SAMPLES - len(cut)))
