"""Sounds and pictures that nobody labelled, for a teacher to say what they are."""

from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch
from torch import Tensor

from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from dcet.runtime.errors import DataError, DataNotFound
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.speech import Speech
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import to_grey
from dcet.training.network.log_mel import LogMel

SOUNDS = (".flac", ".mp3", ".ogg", ".wav")
PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def read_sounds(folder: Path) -> Speech:
    """Every file in windows of 3 s; each file counts as one speaker. Raises DataError."""
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
    """Every picture is one face. Raises DataError."""
    grey = []
    for file in _files(folder, PICTURES):
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise DataError(f"{file}: cannot read the picture")
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
    """-> (n, 48000), the last one padded."""
    try:
        samples, rate = soundfile.read(file, dtype="float32")
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(f"{file}: cannot read the sound ({error})") from error
    if rate != SAMPLE_RATE_HZ or samples.ndim != 1 or len(samples) == 0:
        raise DataError(
            f"{file}: expected mono at {SAMPLE_RATE_HZ} Hz, got {samples.shape} at {rate} Hz; "
            f"convert it first, for example: ffmpeg -i IN -ac 1 -ar {SAMPLE_RATE_HZ} OUT"
        )
    if not np.isfinite(samples).all():
        raise DataError(f"{file}: the sound holds NaN or infinite values")
    short = -len(samples) % WINDOW_SAMPLES
    return torch.nn.functional.pad(torch.from_numpy(samples), (0, short)).reshape(
        -1, WINDOW_SAMPLES
    )
