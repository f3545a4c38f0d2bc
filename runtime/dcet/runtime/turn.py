"""What a turn may be made of. Everything is checked here, before anything is computed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.manifest import Modality
from dcet.runtime.errors import (
    InputError,
    NotFinite,
    TextTooLong,
    WrongDtype,
    WrongSampleRate,
    WrongShape,
)

MAX_TEXT_CHARS = 8192
MAX_SPEAKER_CHARS = 256
MAX_CHANNELS = 8
_SURROGATE = re.compile("[\ud800-\udfff]")

Colors = Literal["rgb", "bgr"]
Image = NDArray[np.uint8] | bytes


class Unusable(Exception):
    """Why something of a turn is left out. It ends up in `degraded`, never at the caller."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What an encoder would have made of a modality.

    array: float32; text (width,), audio and face (n, width) with n up to the bundle's `length`
    """

    array: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Turn:
    """What was given. `Conversation.turn` says what each may be."""

    text: str | Features | None
    audio: NDArray[Any] | Features | None
    face: Sequence[Image] | Features | None
    sample_rate_hz: int
    colors: Colors
    whole_frames: bool

    @property
    def given(self) -> dict[str, Any]:
        """By modality, those there are."""
        everything = {"text": self.text, "audio": self.audio, "face": self.face}
        return {name: given for name, given in everything.items() if given is not None}

    def check(self, modalities: Mapping[str, Modality]) -> None:
        """Raise the InputError that says what is wrong, whether or not the bundle could use it."""
        for name, given in self.given.items():
            if isinstance(given, Features):
                check_features(name, given, modalities[name])
            elif name == "text":
                check_text(given)
            elif name == "audio":
                check_audio(given, self.sample_rate_hz)
            else:
                check_faces(given, self.colors)


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
    """PCM of one channel or several."""
    is_whole = isinstance(sample_rate_hz, int | np.integer) and not isinstance(sample_rate_hz, bool)
    if not is_whole or sample_rate_hz < 1:
        raise WrongSampleRate(
            f"sample_rate_hz: expected a whole number of 1 or more, got {sample_rate_hz!r}; "
            "give the rate at which the audio was recorded"
        )
    samples = _expect_array("audio", audio, ("int16", "float32", "float64"))
    is_mono = samples.ndim == 1
    if not is_mono and not (samples.ndim == 2 and 1 <= samples.shape[1] <= MAX_CHANNELS):
        raise WrongShape(
            "audio: expected samples of shape (n,), or (n, channels) with up to "
            f"{MAX_CHANNELS} channels, got {samples.shape}; transpose it where channels come first"
        )
    if samples.dtype.kind == "f":
        _expect_finite("audio", samples)


def check_faces(faces: Sequence[Image], colors: Colors) -> None:
    """Images as pixels or as the bytes of a file."""
    if colors not in get_args(Colors):
        raise InputError(f"colors: expected 'rgb' or 'bgr', got {colors!r}")
    if not isinstance(faces, Sequence | np.ndarray) or isinstance(faces, str | bytes):
        raise WrongDtype(
            f"faces: expected a list of images, got {type(faces).__name__}; put it in a list"
        )
    if isinstance(faces, np.ndarray) and faces.ndim != 4:
        raise WrongShape(
            "faces: expected a list of images, or an array (n, height, width, channels), "
            f"got {faces.shape}; put a single image in a list"
        )
    for i, face in enumerate(faces):
        if isinstance(face, bytes):
            continue
        pixels = _expect_array(f"faces[{i}]", face, ("uint8",))
        is_grey = pixels.ndim == 2
        if not is_grey and not (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4)):
            raise WrongShape(
                f"faces[{i}]: expected an image of shape (height, width) or (height, width, "
                f"channels) with 1, 3 or 4 channels, got {pixels.shape}; convert it"
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
