"""What a turn may be made of. Everything is checked here, before anything is computed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.errors import NotFinite, TextTooLong, WrongDtype, WrongSampleRate, WrongShape
from dcet.runtime.manifest import Modality

MAX_TEXT_CHARS = 8192
MAX_SPEAKER_CHARS = 256
SAMPLE_RATE_HZ = 16_000
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What an encoder would have made of a modality.

    array: float32; text (width,), audio and face (n, width) with n up to the bundle's `length`
    """

    array: NDArray[np.float32]


def check_speaker(speaker: str) -> None:
    """A name that is text and not endless: names are kept."""
    _expect_text("speaker", speaker)
    if len(speaker) > MAX_SPEAKER_CHARS:
        raise TextTooLong(
            f"speaker: expected a name of at most {MAX_SPEAKER_CHARS} characters, "
            f"got {len(speaker)}; use a shorter one"
        )


def check_text(text: str) -> None:
    """Text of one utterance."""
    _expect_text("text", text)
    if _SURROGATE.search(text):
        raise WrongDtype(
            "text: expected Unicode text, got half of a surrogate pair; "
            "decode the bytes it came from with errors='replace'"
        )
    if len(text) > MAX_TEXT_CHARS:
        raise TextTooLong(
            f"text: expected one utterance of at most {MAX_TEXT_CHARS} characters, "
            f"got {len(text)}; give it as several turns"
        )


def check_features(name: str, features: Features, modality: Modality) -> None:
    """Features of the width, and at most the length, that the bundle's modality has."""
    array = _expect_array(name, features.array, ("float32",))
    if modality.length is None:
        expected, fits = f"({modality.width},)", array.shape == (modality.width,)
    else:
        expected = f"(n, {modality.width}) with n from 0 to {modality.length}"
        fits = (
            array.ndim == 2 and array.shape[1] == modality.width and len(array) <= modality.length
        )
    if not fits:
        raise WrongShape(
            f"{name}: expected features of shape {expected}, got {array.shape}; "
            "use the encoder this bundle was trained with"
        )
    _expect_finite(name, array)


def check_audio(audio: NDArray[Any], sample_rate_hz: int) -> None:
    """Mono PCM."""
    if sample_rate_hz != SAMPLE_RATE_HZ:
        raise WrongSampleRate(
            f"audio: expected {SAMPLE_RATE_HZ} Hz, got {sample_rate_hz} Hz; resample it first"
        )
    samples = _expect_array("audio", audio, ("float32", "int16"))
    if samples.ndim != 1:
        raise WrongShape(
            f"audio: expected mono samples of shape (n,), got {samples.shape}; mix the channels"
        )
    _expect_finite("audio", samples)


def check_faces(faces: Sequence[NDArray[Any]]) -> None:
    """RGB crops."""
    if not isinstance(faces, Sequence | np.ndarray):
        raise WrongDtype(
            f"faces: expected a list of RGB images, got {type(faces).__name__}; put it in a list"
        )
    for i, face in enumerate(faces):
        pixels = _expect_array(f"faces[{i}]", face, ("uint8",))
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
            raise WrongShape(
                f"faces[{i}]: expected an RGB image of shape (height, width, 3), "
                f"got {pixels.shape}; crop the face and drop alpha channels"
            )


def _expect_text(where: str, value: object) -> None:
    if not isinstance(value, str):
        raise WrongDtype(f"{where}: expected a str, got {type(value).__name__}; decode it first")


def _expect_array(where: str, value: object, dtypes: tuple[str, ...]) -> NDArray[Any]:
    if not isinstance(value, np.ndarray) or value.dtype not in dtypes:
        found = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise WrongDtype(
            f"{where}: expected a NumPy array of {' or '.join(dtypes)}, got {found}; convert it"
        )
    return value


def _expect_finite(where: str, array: NDArray[Any]) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise NotFinite(
            f"{where}: expected finite numbers, got {array[place]} at {list(place)}; "
            "leave the modality out when its source failed"
        )
