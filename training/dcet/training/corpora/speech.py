"""Speech to train and evaluate the audio encoder on: CREMA-D as log-mels, the rest as PCM."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from dcet.data.media import path_inside, read_mono
from dcet.data.recordings import FILE, Clip, read_labels
from dcet.data.tables import Row
from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.senses.audio import cut_windows
from dcet.training.corpora.sounds import levels_of, read_sounds
from dcet.training.network.audio_encoder import sums
from dcet.training.network.log_mel import MELS, STEPS, level_of

CREMA_D_STEP_DB = 1.25
UNACTED_SAMPLES = 4 * SAMPLE_RATE_HZ  # so that a window can be cut at many places
LEAST_TALK_S = 0.4  # in a piece
UNACTED = 0.75  # certainty that talk which nobody acted is neutral
ACTED = 0.9  # certainty of a label that was acted: the voice may say something else


@dataclass(frozen=True, slots=True)
class Speech:
    """n clips, in the order of the table."""

    level: Tensor  # (n, 64, 94) log-mels
    emotion: Tensor  # (n,)
    speaker: Tensor  # (n,) numbers from 0
    pcm: Tensor | None  # (n, 48000 or more); None where the corpus has log-mels alone
    certainty: float = ACTED  # of the emotion; the rest is shared by all seven

    def __len__(self) -> int:
        return len(self.emotion)

    def only(self, chosen: Tensor) -> "Speech":
        """Return the clips for which `chosen` (n,) is true, in the same order."""
        pcm = None if self.pcm is None else self.pcm[chosen]
        return Speech(
            self.level[chosen], self.emotion[chosen], self.speaker[chosen], pcm, self.certainty
        )


def read_speech(corpus: str, folder: Path, split: str) -> Speech:
    """Read the clips of `split` from `crema_d`, `ravdess` or `emogator`.

    Raises DataError where files are missing or are not what the table says.
    """
    rows = read_labels(folder, split, ("row",) if corpus == "crema_d" else FILE, ("speaker",))
    numbers: dict[str, int] = {}
    speaker = torch.tensor([numbers.setdefault(row.text("speaker"), len(numbers)) for row in rows])
    emotion = torch.tensor([row.emotion() for row in rows])
    if corpus == "crema_d":
        return Speech(_crema_d(folder / "logmel64x94.npz", rows), emotion, speaker, None)
    files = [path_inside(folder, row.text("file"), row.where) for row in rows]
    pcm = torch.stack([_window(read_mono(file)) for file in files])
    return Speech(levels_of(pcm), emotion, speaker, pcm)


def read_unlabelled(folder: Path) -> Speech:
    """Read every file of a folder in windows of 3 s, each file as one speaker. Raises DataError."""
    pcm, files = read_sounds(folder)
    return Speech(levels_of(pcm), torch.zeros(len(pcm), dtype=torch.long), files, pcm)


def read_unacted(folder: Path) -> Speech:
    """Read talk that nobody acted, mostly neutral: pieces of 4 s, each file as one speaker.

    Raises DataError.
    """
    pcm, files = read_sounds(folder, samples=UNACTED_SAMPLES)
    level = levels_of(pcm)
    talk = sums(level)[:, 0, 0] * (WINDOW_SAMPLES / SAMPLE_RATE_HZ) >= LEAST_TALK_S
    neutral = torch.full((len(pcm),), EMOTIONS.index("neutral"))
    return Speech(level, neutral, files, pcm, UNACTED).only(talk)


def read_noises(folder: Path) -> Speech:
    """Read noises in windows of 3 s; no emotion is likelier than another. Raises DataError."""
    return replace(read_unlabelled(folder), certainty=0.0)


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
    return level_of(10 ** (torch.from_numpy(taken).float() * (CREMA_D_STEP_DB / 10) - 8))


def _window(clip: Clip) -> Tensor:
    """Put a clip in the middle of a window, (48000,)."""
    return torch.from_numpy(cut_windows(clip[:WINDOW_SAMPLES], WINDOW_SAMPLES, most=1)[0])
