"""The inputs of a turn, checked before anything is computed.

One rule decides what becomes of bad input. What is wrong with a whole argument, its type, its shape
or its length, is a mistake in the host and raises an InputError. What an argument holds, a frame
among frames or a sample that is NaN, is the fault of a source: it is left out, and the turn is
answered from the rest.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
MAX_TIME_US = 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The types that an array may have, and what to do with one of another type."""

    dtypes: tuple[str, ...]
    cure: str


_FEATURES = _Wanted(("float32",), "convert it to np.float32")
_SAMPLES = _Wanted(
    ("int16", "float32", "float64"), "convert it to int16, or to floats from -1 to 1"
)
_PIXELS = _Wanted(("uint8",), "convert it to np.uint8, from 0 to 255")

Colors = Literal["rgb", "bgr"]
Image = NDArray[np.uint8] | bytes


class Unusable(Exception):
    """Why something of a turn is left out. It ends up in `degraded`, never at the caller."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The output of an encoder of your own, given in place of a modality's raw input.

    array: float32; text (width,), audio and face (n, width) with n up to the bundle's `length`
    """

    array: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """The modalities of one turn as they were given. `Conversation.turn` says what each may be."""

    text: str | Features | None
    audio: NDArray[Any] | Features | None
    face: Sequence[Image] | Features | None
    sample_rate_hz: float
    colors: Colors
    whole_frames: bool
    face_box: ArrayLike | None = None
    voiced: bool = False

    @property
    def given(self) -> dict[str, Any]:
        """The inputs that are present, by modality."""
        everything = {"text": self.text, "audio": self.audio, "face": self.face}
        return {name: given for name, given in everything.items() if given is not None}

    def check(self, modalities: Mapping[str, Modality]) -> None:
        """Raise the InputError that says what is wrong, whether or not the bundle could use it."""
        if not isinstance(self.voiced, bool | np.bool_):
            raise InputError(f"voiced: expected True or False, got {self.voiced!r}")
        for name, given in self.given.items():
            if isinstance(given, Features):
                check_features(name, given, modalities[name])
            elif name == "text":
                check_text(given)
            elif name == "audio":
                check_audio(given, self.sample_rate_hz)
            else:
                check_faces(given, self.colors, self.whole_frames)
        if self.face_box is not None:
            self._check_face_box()

    def _check_face_box(self) -> None:
        """Raises InputError, WrongDtype, WrongShape or NotFinite."""
        if self.face is None or isinstance(self.face, Features) or not self.whole_frames:
            raise InputError(
                "face_box: expected faces with it, and whole_frames=True; leave it out where "
                "images are cut out around the face already"
            )
        try:
            boxes = np.asarray(self.face_box, np.float32)
        except (TypeError, ValueError) as error:
            raise WrongDtype(f"face_box: expected numbers, got {self.face_box!r}") from error
        if boxes.shape not in ((4,), (len(self.face), 4)):
            raise WrongShape(
                "face_box: expected left, top, width and height, (4,) for all frames or "
                f"{(len(self.face), 4)}, got {boxes.shape}; give one box, or one for each frame"
            )
        if not np.isfinite(boxes).all():
            raise NotFinite(f"face_box: expected finite numbers, got {boxes.tolist()}")


def check_speaker(speaker: str, argument: str = "speaker") -> str:
    """Return a name in the form in which it is kept: composed (NFC), so that however it was typed
    it is one speaker. Raises WrongDtype or TextTooLong, which name the argument."""
    _expect_text(argument, speaker)
    name = unicodedata.normalize("NFC", speaker)  # may be longer, and is what is given back
    if len(name) > MAX_SPEAKER_CHARS:
        raise TextTooLong(
            f"{argument}: expected a name of at most {MAX_SPEAKER_CHARS} characters, "
            f"got {len(name)}; use a shorter one"
        )
    return name


def check_time(at_us: int | None) -> None:
    """Check a media time. Raises InputError."""
    if at_us is None:
        return
    is_whole = isinstance(at_us, int | np.integer) and not isinstance(at_us, bool)
    if not is_whole or not 0 <= at_us <= MAX_TIME_US:
        raise InputError(
            f"at_us: expected a media time in whole microseconds, from 0 to {MAX_TIME_US}, got "
            f"{at_us!r}; count from the beginning of the recording or the stream"
        )


def check_text(text: str) -> None:
    """Check the text of one utterance. Raises WrongDtype or TextTooLong."""
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
    """Check that features have the width, and at most the length, of the bundle's modality.

    Raises WrongDtype or WrongShape.
    """
    array = features.array
    _expect_array(name, array, _FEATURES)
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


def check_audio(audio: NDArray[Any], sample_rate_hz: float) -> None:
    """Check PCM of one channel or several. Raises WrongSampleRate, WrongDtype or WrongShape."""
    check_sample_rate(sample_rate_hz)
    _expect_array("audio", audio, _SAMPLES)
    if audio.ndim != 1 and not (audio.ndim == 2 and 1 <= audio.shape[1] <= MAX_CHANNELS):
        raise WrongShape(
            "audio: expected samples of shape (n,), or (n, channels) with up to "
            f"{MAX_CHANNELS} channels, got {audio.shape}; transpose it where channels come first"
        )


def check_sample_rate(sample_rate_hz: float) -> int:
    """Return a rate as an int; audio hosts also give whole floats. Raises WrongSampleRate."""
    if isinstance(sample_rate_hz, float | np.floating):
        is_whole = sample_rate_hz.is_integer()
    else:
        is_whole = isinstance(sample_rate_hz, int | np.integer)
    if not is_whole or isinstance(sample_rate_hz, bool) or sample_rate_hz < 1:
        raise WrongSampleRate(
            f"sample_rate_hz: expected a whole number of 1 or more, got {sample_rate_hz!r}; "
            "give the rate at which the audio was recorded"
        )
    return int(sample_rate_hz)


def check_faces(faces: Sequence[Image], colors: Colors, whole_frames: bool) -> None:
    """Check that there are images to go through; `check_image` judges each of them.

    Raises InputError, WrongDtype or WrongShape.
    """
    if not isinstance(colors, str) or colors not in get_args(Colors):
        raise InputError(f"colors: expected 'rgb' or 'bgr', got {colors!r}")
    if not isinstance(whole_frames, bool | np.bool_):
        raise InputError(f"whole_frames: expected True or False, got {whole_frames!r}")
    if isinstance(faces, np.ndarray):
        if faces.ndim != 4 or faces.shape[3] not in (1, 3, 4):
            raise WrongShape(
                "faces: expected a list of images, or an array (n, height, width, channels) with "
                f"1, 3 or 4 channels, got {faces.shape}; put a single image in a list"
            )
        _expect_array("faces", faces, _PIXELS)
    elif isinstance(faces, bytes | bytearray | memoryview):
        raise WrongDtype(
            f"faces: expected a list of images, got {type(faces).__name__}; put it in a list"
        )
    elif not isinstance(faces, Sequence) or isinstance(faces, str):
        raise WrongDtype(
            f"faces: expected a list of images, got {type(faces).__name__}; "
            "give a list of arrays, or of the bytes of files"
        )


def check_image(image: Image) -> None:
    """Check one image, as pixels or as the bytes of a file. Raises Unusable."""
    if isinstance(image, bytes):
        return
    if image is None:
        raise Unusable("there is no image")
    if isinstance(image, str):
        raise Unusable("expected an image, got str; give the bytes of the file")
    if fault := _fault_of_array(image, _PIXELS):
        raise Unusable(fault)
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))):
        raise Unusable(
            "expected an image of shape (height, width) or (height, width, channels) with 1, 3 or "
            f"4 channels, got {image.shape}; convert it"
        )


def check_finite(array: NDArray[Any]) -> None:
    """Raise NotFinite where a number is NaN or infinite."""
    finite = np.isfinite(array)
    if not finite.all():
        place = [int(i) for i in np.argwhere(~finite)[0]]
        raise NotFinite(f"expected finite numbers, got {array[tuple(place)]} at {place}")


def _expect_text(where: str, value: object) -> None:
    if not isinstance(value, str):
        is_encoded = isinstance(value, bytes | bytearray | memoryview)
        cure = "decode it first" if is_encoded else "give it as text"
        raise WrongDtype(f"{where}: expected a str, got {type(value).__name__}; {cure}")


def _expect_array(where: str, value: object, wanted: _Wanted) -> None:
    if fault := _fault_of_array(value, wanted):
        raise WrongDtype(f"{where}: {fault}")


def _fault_of_array(value: object, wanted: _Wanted) -> str | None:
    """Say what is wrong with the type of an array, and what to do about it."""
    expected = f"expected a NumPy array of {' or '.join(wanted.dtypes)}"
    if isinstance(value, np.ma.MaskedArray):
        return f"{expected}, got a masked array; fill it with array.filled(0)"
    if not isinstance(value, np.ndarray):
        return f"{expected}, got {type(value).__name__}; make it an array with np.array"
    if value.dtype not in wanted.dtypes:
        return f"{expected}, got {value.dtype}; {wanted.cure}"
    return None
