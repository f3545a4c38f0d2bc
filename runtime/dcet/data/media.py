"""Files of audio and pictures, as a turn takes them."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.data.wav import read_wav
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.errors import (
    DataNotFound,
    InputError,
    MalformedTable,
    PathOutside,
    UnusableMedia,
)
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels, to_rgb
from dcet.runtime.turn import Unusable, check_audio, check_finite


def read_audio(path: Path) -> tuple[NDArray[Any], int]:
    """Return PCM, int16 or float32, of shape (n,) or (n, channels), and its rate in Hz.

    WAV of 16 bits needs nothing; other formats need the extra `audio`. Raises DataNotFound,
    MissingExtra, or UnusableMedia, also where samples are NaN or infinite.
    """
    _expect_file(path)
    try:
        samples, rate_hz = read_wav(path) or _decode(path)
        check_audio(samples, rate_hz)
        check_finite(samples)
    except OSError as error:
        raise UnusableMedia(f"{path}: cannot read the audio ({error}); copy it again") from error
    except InputError as error:
        raise UnusableMedia(f"{path}: {error}") from error
    return samples, rate_hz


def read_clip(path: Path) -> Floats:
    """Return one channel at 16 kHz, (n,) in [-1, 1], n at least 1.

    Raises what `read_audio` raises, and UnusableMedia where the file holds anything else.
    """
    samples, rate_hz = read_audio(path)
    if rate_hz != SAMPLE_RATE_HZ or samples.ndim != 1 or len(samples) == 0:
        raise UnusableMedia(
            f"{path}: expected mono at {SAMPLE_RATE_HZ} Hz, got {samples.shape} at {rate_hz} Hz; "
            f"convert it first, for example: ffmpeg -i IN -ac 1 -ar {SAMPLE_RATE_HZ} OUT"
        )
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(2**15)
    return samples


def read_mono(path: Path) -> Floats:
    """Return a file of any rate with its channels mixed, (n,) at 16 kHz, n at least 1.

    Raises what `read_audio` raises, and UnusableMedia where the file holds no sample.
    """
    samples, rate_hz = read_audio(path)
    if len(samples) == 0:
        raise UnusableMedia(f"{path}: expected sound, got 0 samples; leave the file out")
    scale = 2.0**15 if samples.dtype == np.int16 else 1.0
    mono = samples.reshape(len(samples), -1).mean(axis=1) / scale
    if rate_hz != SAMPLE_RATE_HZ:
        mono = need("soxr", extra="audio").resample(mono, rate_hz, SAMPLE_RATE_HZ)
    clip: Floats = mono.astype(np.float32)
    return clip


def read_picture(path: Path) -> Pixels:
    """Return RGB of shape (height, width, 3); needs the extra `faces`.

    Raises DataNotFound, UnusableMedia or MissingExtra.
    """
    _expect_file(path)
    try:
        return to_rgb(path.read_bytes(), "rgb")
    except OSError as error:
        raise UnusableMedia(f"{path}: cannot read the picture ({error}); copy it again") from error
    except Unusable as error:
        raise UnusableMedia(f"{path}: cannot use the picture: {error}; write it again") from error


def write_wav(path: Path, pcm: NDArray[np.int16], sample_rate_hz: int) -> None:
    """Write a WAV of 16 bits; pcm has shape (n,) or (n, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if pcm.ndim == 1 else pcm.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(pcm.astype("<i2").tobytes())


def path_inside(folder: Path, name: str, where: str) -> Path:
    """Return the path of a file that a table names.

    Raises PathOutside where it is not in `folder`, MalformedTable where no file can have this name.
    """
    path = folder / name
    try:
        path.stat()
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except FileNotFoundError:
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL byte, a loop of links
        raise MalformedTable(
            f"{where}: no file can be opened by the name {name!r:.60} "
            f"({getattr(error, 'strerror', None) or error}); correct it"
        ) from error
    if not is_inside:
        raise PathOutside(
            f"{where}: expected a file inside {folder}, got {name!r}; copy it there, and do not "
            "use this set unless you know who made it"
        )
    return path


def _decode(path: Path) -> tuple[NDArray[Any], int]:
    soundfile = need("soundfile", extra="audio")
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(dtype="int16" if file.subtype == "PCM_16" else "float32")
            return samples, file.samplerate
    except (soundfile.SoundFileError, ValueError) as error:  # a header of a format without an end
        raise UnusableMedia(f"{path}: cannot read the audio ({error}); write it again") from error


def _expect_file(path: Path) -> None:
    try:
        is_file = path.is_file()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise DataNotFound(f"{path}: cannot be opened ({error.strerror}); correct it") from error
    if not is_file:
        raise DataNotFound(f"{path}: there is no such file; correct the name, or add the file")
