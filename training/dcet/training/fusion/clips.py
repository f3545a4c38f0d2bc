"""Clips and faces for the fusion: encoded once, clean and corrupted.

Encoders are too confident on their own training clips for the fusion to learn reliability from.
So the fusion is trained on clips of people that no encoder was trained on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dcet.runtime.errors import DataError
from dcet.runtime.senses.quality import GOOD_SNR_DB, audio_quality, face_quality, snr_db
from dcet.training.augment.faces import blur, cover
from dcet.training.augment.speech import add_noise, noise_level
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.sounds import levels_of
from dcet.training.corpora.speech import Speech
from dcet.training.network.audio_encoder import VOICE_SHAPE, AudioEncoder, encode_levels, sums
from dcet.training.network.face_encoder import FaceEncoder, encode_grey

CLEAN = "clean"
AUDIO_KINDS = (CLEAN, "loud_noise", "noise")
FACE_KINDS = (CLEAN, "blur", "dark", "occluded")


@dataclass(frozen=True, slots=True)
class Clips:
    """A set of n encoded clips or faces; most occur several times, in several conditions."""

    features: Tensor  # (n, width), on the CPU
    quality: Tensor  # (n,) as the runtime would measure it
    emotion: Tensor  # (n,)
    speaker: Tensor  # (n,) numbers from 0; all 0 for faces, whose people are unknown
    kind: Tensor  # (n,) index into the kinds of its modality

    def __add__(self, other: "Clips") -> "Clips":
        after = int(self.speaker.max()) + 1
        return Clips(
            torch.cat([self.features, other.features]),
            torch.cat([self.quality, other.quality]),
            torch.cat([self.emotion, other.emotion]),
            torch.cat([self.speaker, other.speaker + after]),
            torch.cat([self.kind, other.kind]),
        )


def halves(speech: Speech) -> tuple[Speech, Speech]:
    """Split clips by speaker: those of every other one, and the rest. Raises DataError."""
    odd = speech.speaker % 2 == 1
    if not odd.any():
        raise DataError("expected clips of at least two speakers in the dev split, got one")
    return speech.only(~odd), speech.only(odd)


@torch.inference_mode()
def encode_speech(encoder: AudioEncoder, speech: Speech) -> Clips:
    """Encode every clip clean and noisy, with none, some or all of its speaker's others known."""
    encoder.eval()
    sums_of_clips = sums(speech.level)
    parts = []
    for kind, (low, high) in enumerate(((None, None), (-5.0, 5.0), (5.0, 20.0))):
        for known in (0.0, 0.2, 1.0):
            level, quality = speech.level, torch.ones(len(speech))
            if low is not None and high is not None:
                level, quality = _noisy(speech, low + (high - low) * torch.rand(len(speech)))
            voice = _voices(speech.speaker, sums_of_clips, known)
            features = encode_levels(encoder, level, voice).cpu()
            kinds = torch.full((len(speech),), kind)
            parts.append(Clips(features, quality, speech.emotion, speech.speaker, kinds))
    return _joined(parts)


@torch.inference_mode()
def encode_unacted(encoder: AudioEncoder, speech: Speech) -> Tensor:
    """Encode windows of people of whom nothing is known yet: (n, width)."""
    encoder.eval()
    return encode_levels(encoder, speech.level, torch.zeros(len(speech), *VOICE_SHAPE)).cpu()


def _noisy(speech: Speech, snr: Tensor) -> tuple[Tensor, Tensor]:
    """Add noise to log-mels; measure the quality where there are waveforms, else estimate it."""
    if speech.pcm is None:
        guessed = (snr + 2 + 2 * torch.randn(len(snr))) / GOOD_SNR_DB
        return noise_level(speech.level, snr), guessed.clamp(0, 1)
    pcm = add_noise(speech.pcm, snr)
    measured = [audio_quality(snr_db(np.trim_zeros(clip))) for clip in pcm.numpy()]
    return levels_of(pcm), torch.tensor(measured)


def _voices(speaker: Tensor, sums_of_clips: Tensor, known: float) -> Tensor:
    """Sum over a share of the other clips of each clip's speaker: (n, 3, 64)."""
    same = (speaker[:, None] == speaker).fill_diagonal_(False)
    chosen = same & (torch.rand(same.shape) < known)
    return torch.einsum("ij,jkm->ikm", chosen.float(), sums_of_clips)


@torch.inference_mode()
def encode_faces(encoder: FaceEncoder, faces: Faces) -> Clips:
    """Encode every face clean, blurred, in the dark, and partly hidden."""
    encoder.eval()
    grey = faces.grey.float()
    changes: tuple[Callable[[Tensor], Tensor], ...] = (lambda x: x, _blurred, _dark, cover)
    parts = []
    for kind, change in enumerate(changes):
        changed = change(grey)
        features = encode_grey(encoder, changed).cpu()
        quality = torch.from_numpy(face_quality(changed.numpy()))
        kinds = torch.full((len(faces),), kind)
        parts.append(Clips(features, quality, faces.emotion, torch.zeros_like(kinds), kinds))
    return _joined(parts)


def _blurred(grey: Tensor) -> Tensor:
    passes = torch.randint(1, 12, (len(grey),))
    blurred = torch.empty_like(grey)
    for count in passes.unique():
        blurred[passes == count] = blur(grey[passes == count], int(count))
    return blurred


def _dark(grey: Tensor) -> Tensor:
    """Dim to a tenth of the light or less, with a sensor's noise; in whole grey levels."""
    light = 0.1 * torch.rand(len(grey), 1, 1)
    return (grey * light + 2 * torch.randn_like(grey)).clamp(0, 255).round()


def _joined(parts: list[Clips]) -> Clips:
    """Join the same clips in several conditions."""
    return Clips(*(torch.cat([getattr(p, name) for p in parts]) for name in Clips.__slots__))
