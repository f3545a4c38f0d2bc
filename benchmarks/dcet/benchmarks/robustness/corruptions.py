"""Corruptions of text, audio and faces on their way to a device, in given strengths.

Independent of what a model was trained with. All draw the same numbers whatever the strength, so
that a stronger corruption is more of the same and not another one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dcet.data.constructed import ConstructedTurn, Material, sample_faces
from dcet.data.recordings import Clip
from dcet.runtime.labels import EMOTIONS
from dcet.synthetic.noise import PINK, WHITE, coloured_noise

Pixels = NDArray[np.uint8]  # (n, height, width) grey

READ_NOISE = 2.0  # standard deviation, of 255: what a sensor adds to a dark picture


class Change(Protocol):
    def __call__(
        self, scene: ConstructedTurn, strength: float, rng: Generator, /
    ) -> ConstructedTurn: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One way in which one modality goes bad, from mild to severe."""

    modality: str
    name: str
    measure: str  # what a strength says
    strengths: tuple[float, ...]
    change: Change


def catalogue(material: Material) -> tuple[Corruption, ...]:
    return (
        _on_audio("white noise", lambda a, s, rng: add_noise(a, s, WHITE, rng)),
        _on_audio("pink noise", lambda a, s, rng: add_noise(a, s, PINK, rng)),
        _on_faces("blur", "sigma, pixels of 48", (0.5, 1, 2, 4), lambda f, s, rng: blur(f, s)),
        _on_faces("occlusion", "share hidden", (0.1, 0.25, 0.5, 0.75), occlude),
        _on_faces("darkness", "share of the light", (0.5, 0.25, 0.1, 0.04), darken),
        Corruption(
            modality="face",
            name="wrong person",
            measure="share of the turns",
            strengths=(0.25, 0.5, 0.75, 1.0),
            change=_wrong_person(material),
        ),
        Corruption(
            modality="text",
            name="recognition errors",
            measure="word error rate",
            strengths=(0.1, 0.2, 0.3, 0.4),
            change=_misheard(material.words),
        ),
    )


def add_noise(audio: Clip, snr_db: float, exponent: float, rng: Generator) -> Clip:
    """Add noise `snr_db` below the mean power of the clip; what exceeds full scale clips."""
    power = np.square(audio, dtype=np.float64).mean() * 10 ** (-snr_db / 10)
    noise = coloured_noise(len(audio), rng, exponent)
    noisy = audio + noise * np.sqrt(power / np.square(noise).mean())
    clipped: Clip = noisy.clip(-1, 1).astype(np.float32)
    return clipped


def blur(faces: Pixels, sigma: float) -> Pixels:
    """Blur with a Gaussian of `sigma` pixels, edges repeated."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    blurred = faces.astype(np.float64)
    for axis in (1, 2):
        padding = [(reach, reach) if dim == axis else (0, 0) for dim in range(3)]
        padded = np.pad(blurred, padding, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=axis)
        blurred = windows @ weights
    return _as_pixels(blurred)


def occlude(faces: Pixels, share: float, rng: Generator) -> Pixels:
    """Hide `share` of each face behind a rectangle of one grey, in the picture's proportions."""
    hidden = faces.copy()
    height, width = (round(size * np.sqrt(share)) for size in faces.shape[1:])
    for face in hidden:
        across, down, grey = rng.random(3)
        top, left = round(down * (len(face) - height)), round(across * (len(face[0]) - width))
        face[top : top + height, left : left + width] = round(255 * grey)
    return hidden


def darken(faces: Pixels, light: float, rng: Generator) -> Pixels:
    """Leave a share `light` of the light; the sensor's noise stays."""
    return _as_pixels(faces * light + READ_NOISE * rng.standard_normal(faces.shape))


def mishear(text: str, rate: float, words: Sequence[str], rng: Generator) -> str:
    """Corrupt `text` at an expected word error rate of `rate`: six errors of ten put another of
    `words` in the place of a word, the others leave it out (2.5) or put one behind it (1.5)."""
    heard = []
    for word in text.split():
        struck, kind, pick = rng.random(3)
        other = words[int(pick * len(words))]
        if struck >= rate:
            heard.append(word)
        elif kind < 0.6:
            heard.append(other)
        elif kind < 0.75:
            heard += [word, other]
    return " ".join(heard)


def _on_audio(name: str, noise: Callable[[Clip, float, Generator], Clip]) -> Corruption:
    def change(scene: ConstructedTurn, snr_db: float, rng: Generator) -> ConstructedTurn:
        assert scene.audio is not None
        return replace(scene, audio=noise(scene.audio, snr_db, rng))

    return Corruption(
        modality="audio",
        name=name,
        measure="SNR, dB",
        strengths=(20, 15, 10, 5, 0),
        change=change,
    )


def _on_faces(
    name: str,
    measure: str,
    strengths: tuple[float, ...],
    spoil: Callable[[Pixels, float, Generator], Pixels],
) -> Corruption:
    def change(scene: ConstructedTurn, strength: float, rng: Generator) -> ConstructedTurn:
        assert scene.faces is not None
        return replace(scene, faces=spoil(scene.faces, strength, rng))

    return Corruption(
        modality="face", name=name, measure=measure, strengths=strengths, change=change
    )


def _wrong_person(material: Material) -> Change:
    """Show other people's faces, of any emotion, in a share of the turns."""

    def change(scene: ConstructedTurn, share: float, rng: Generator) -> ConstructedTurn:
        struck = rng.random() < share
        others = sample_faces(material.faces, int(rng.integers(len(EMOTIONS))), rng)
        return replace(scene, faces=others) if struck else scene

    return change


def _misheard(words: Sequence[str]) -> Change:
    def change(scene: ConstructedTurn, rate: float, rng: Generator) -> ConstructedTurn:
        assert scene.text is not None
        return replace(scene, text=mishear(scene.text, rate, words, rng))

    return change


def _as_pixels(values: NDArray[np.float64]) -> Pixels:
    return values.round().clip(0, 255).astype(np.uint8)
