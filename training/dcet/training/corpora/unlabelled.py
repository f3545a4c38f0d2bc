"""Unlabelled audio and pictures, whose labels are a teacher's probabilities."""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from dcet.data.media import read_clip, read_picture
from dcet.runtime.arrays import WINDOW_SAMPLES
from dcet.runtime.errors import DataNotFound
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.speech import Speech
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import to_grey
from dcet.training.network.log_mel import LogMel

SOUNDS = (".flac", ".mp3", ".ogg", ".wav")
PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def read_sounds(folder: Path) -> Speech:
    """Read every file in windows of 3 s; each file counts as one speaker. Raises DataError."""
    log_mel = LogMel()
    windows, speakers = [], []
    for number, file in enumerate(_files(folder, SOUNDS)):
        parts = _windows(file)
        windows.append(parts)
        speakers += [number] * len(parts)
    pcm = torch.cat(windows)
    with torch.no_grad():
        level = torch.cat([AudioEncoder.level(log_mel(part)) for part in pcm.split(32)])
    unknown = torch.zeros(len(pcm), dtype=torch.long)
    return Speech(level, unknown, torch.tensor(speakers), pcm)


def read_pictures(folder: Path) -> Faces:
    """Read every picture as one face. Raises DataError."""
    grey = []
    for file in _files(folder, PICTURES):
        picture = read_picture(file)
        grey.append(to_grey(torch.from_numpy(picture)[None]).round().byte())
    unknown = torch.zeros(len(grey), dtype=torch.long)
    return Faces(torch.cat(grey), unknown, torch.zeros(len(grey), len(EMOTIONS)))


def _files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in suffixes)
    if not files:
        raise DataNotFound(
            f"{folder}: expected a folder with {', '.join(suffixes)} files, got none; without "
            "--corpus, --data is a folder of unlabelled media"
        )
    return files


def _windows(file: Path) -> Tensor:
    """Read a file as windows, (n, 48000), the last one padded."""
    clip = torch.from_numpy(read_clip(file))
    short = -len(clip) % WINDOW_SAMPLES
    return torch.nn.functional.pad(clip, (0, short)).reshape(-1, WINDOW_SAMPLES)
