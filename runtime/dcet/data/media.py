"""Files of sound and pictures, as a turn takes them."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.errors import DataNotFound, UnusableMedia
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels, to_rgb
from dcet.runtime.turn import Unusable


def read_sound(path: Path) -> tuple[NDArray[Any], int]:
    """PCM, int16 or float32, of shape (n,) or (n, channels), and its rate in Hz.

    WAV of 16 bits needs nothing; other formats need the extra `audio`. Raises DataNotFound,
    UnusableMedia or MissingExtra.
    """
    _expect_file(path)
    plain = _read_wav(path)
    if plain is not None:
        return plain
    soundfile = need("soundfile", extra="audio")
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(dtype="int16" if file.subtype == "PCM_16" else "float32")
            return samples, file.samplerate
    except (OSError, soundfile.SoundFileError) as error:
        raise UnusableMedia(f"{path}: cannot read the sound ({error}); write it again") from error


def read_picture(path: Path) -> Pixels:
    """RGB of shape (height, width, 3); needs the extra `faces`.

    Raises DataNotFound, UnusableMedia or MissingExtra.
    """
    _expect_file(path)
    try:
        return to_rgb(path.read_bytes(), "rgb")
    except Unusable as error:
        raise UnusableMedia(f"{path}: cannot use the picture: {error}; write it again") from error


def write_wav(path: Path, pcm: NDArray[np.int16], sample_rate_hz: int) -> None:
    """pcm: shape (n,) or (n, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if pcm.ndim == 1 else pcm.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(pcm.astype("<i2").tobytes())


def _read_wav(path: Path) -> tuple[NDArray[np.int16], int] | None:
    """None for what is not WAV of 16 bits."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                return None
            frames, channels, rate_hz = file.getnframes(), file.getnchannels(), file.getframerate()
            data = file.readframes(frames)
    except (wave.Error, EOFError):
        return None
    if len(data) != frames * channels * 2:
        raise UnusableMedia(
            f"{path}: expected {frames * channels * 2} bytes of sound, got {len(data)}; "
            "the file is cut short, so copy it again"
        )
    samples = np.frombuffer(data, "<i2").astype(np.int16)
    return samples if channels == 1 else samples.reshape(-1, channels), rate_hz


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise DataNotFound(f"{path}: there is no such file; correct the name, or add the file")
