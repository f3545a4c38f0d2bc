"""The turn of text, audio and faces whose latency is measured, all of it raw."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcet.benchmarks.texts import count_tokens, text_of_tokens
from dcet.runtime import Bundle
from dcet.runtime.errors import ConfigError
from dcet.synthetic.probes import faces, speech

SPEAKERS = ("Ada", "Ben", "Cleo")
TOKENS = 32
AUDIO_S = 3.0
FACES = 8
FACE_SIDE = 96  # pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class RawTurn:
    """A turn as microphone, camera and speech recogniser hand it over."""

    text: str
    tokens: int  # of the text, special ones included
    audio: NDArray[np.float32] | None = None  # (samples,) at 16 kHz
    faces: Sequence[NDArray[np.uint8]] | None = None  # (96, 96, 3) RGB each


def text_turn(bundle: Bundle) -> RawTurn:
    """Make a text of 32 tokens, or of as many as the model takes."""
    text = text_of_tokens(bundle.tokenizer, min(TOKENS, bundle.manifest.tokenizer.max_tokens))
    return RawTurn(text=text, tokens=count_tokens(bundle.tokenizer, text))


def three_sense_turn(bundle: Bundle, *, audio_s: float = AUDIO_S, seed: int = 0) -> RawTurn:
    """Make the text turn with audio and faces, which are synthetic."""
    words = text_turn(bundle)
    return RawTurn(
        text=words.text,
        tokens=words.tokens,
        audio=speech(audio_s, seed=seed),
        faces=list(faces(FACES, FACE_SIDE, FACE_SIDE, seed)),
    )


def lacks(bundle: Bundle) -> list[str]:
    """List the modalities that this bundle cannot take raw: no encoder, or not trained."""
    modalities = bundle.manifest.modalities.items()
    return [name for name, row in modalities if row.encoder is None or not row.trained]


def require_three_senses(bundle: Bundle) -> None:
    """Raise ConfigError for a bundle without encoders of audio and faces."""
    if missing := lacks(bundle):
        raise ConfigError(
            f"{bundle.path}: expected a bundle with encoders of text, audio and face, this one has "
            f"no {' and no '.join(missing)} encoder; train them and export again, or measure "
            "latency and accuracy, which text alone is enough for"
        )
