"""Unlabelled sound: talk that nobody acted, noises, and what a teacher is to label."""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from dcet.data.media import read_mono
from dcet.runtime.arrays import WINDOW_SAMPLES
from dcet.runtime.errors import DataNotFound
from dcet.training.network.log_mel import LogMel

SOUNDS = (".flac", ".mp3", ".ogg", ".wav")


def read_sounds(folder: Path, *, samples: int = WINDOW_SAMPLES) -> tuple[Tensor, Tensor]:
    """Read every file in pieces, the last of each padded: (n, samples), and the number of the file
    that each comes from, (n,). Raises DataError."""
    pieces, files = [], []
    for number, file in enumerate(files_in(folder, SOUNDS)):
        clip = torch.from_numpy(read_mono(file))
        short = -len(clip) % samples
        parts = torch.nn.functional.pad(clip, (0, short)).reshape(-1, samples)
        pieces.append(parts)
        files += [number] * len(parts)
    return torch.cat(pieces), torch.tensor(files)


@torch.no_grad()
def levels_of(pcm: Tensor) -> Tensor:
    """Return the log-mels of the first 3 s of clips (n, 48000 or more): (n, 64, 94)."""
    log_mel = LogMel()
    return torch.cat([log_mel(part[:, :WINDOW_SAMPLES]) for part in pcm.split(32)])


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """List the files in a folder with these suffixes. Raises DataNotFound where there are none."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in suffixes)
    if not files:
        raise DataNotFound(
            f"{folder}: expected a folder with {', '.join(suffixes)} files, got none; without "
            "--corpus, --data is a folder of unlabelled media"
        )
    return files
