"""Clips and faces as the fusion meets them: encoded once, clean and with all that goes wrong.

The encoders have seen the training clips too often: what they say of them is too good to learn
trust from. So the fusion is trained on clips of people that no encoder was trained on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dcet.runtime.senses.quality import GOOD_SNR_DB, audio_quality, face_quality, snr_db
from dcet.training.augment.faces import blur, cover
from dcet.training.augment.speech import add_noise, noise_level
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.speech import Speech
from dcet.training.network.audio_encoder import AudioEncoder, sums
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.log_mel import LogMel

CLEAN = "clean"
AUDIO_KINDS = (CLEAN, "loud_noise", "noise")
FACE_KINDS = (CLEAN, "blur", "dark", "occluded")
AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Clips:
    """n encoded clips or faces; most come several times, in several conditions."""

    features: Tensor  # (n, width)
    quality: Tensor  # (n,) as the runtime would measure it
    emotion: Tensor  # (n,)
    speaker: Tensor  # (n,) numbers from 0; all 0 for faces, of which nobody knows whose they are
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
    """The clips of every other speaker, and those of the rest."""
    odd = speech.speaker % 2 == 1
    return speech.only(~odd), speech.only(odd)


@torch.inference_mode()
def encode_speech(encoder: AudioEncoder, speech: Speech) -> Clips:
    """Every clip clean and noisy, by a speaker of whom none, some or all other clips are known."""
    encoder.eval()
    heard = sums(speech.level)
    parts = []
    for kind, (low, high) in enumerate(((None, None), (-5.0, 5.0), (5.0, 20.0))):
        for known in (0.0, 0.2, 1.0):
            level, quality = speech.level, torch.ones(len(speech))
            if low is not None and high is not None:
                level, quality = _noisy(speech, low + (high - low) * torch.rand(len(speech)))
            voice = _voices(speech.speaker, heard, known)
            features = torch.cat(
                [
                    encoder.encode(a, b)
                    for a, b in zip(level.split(AT_ONCE), voice.split(AT_ONCE), strict=True)
                ]
            )
            kinds = torch.full((len(speech),), kind)
            parts.append(Clips(features, quality, speech.emotion, speech.speaker, kinds))
    return _joined(parts)


def _noisy(speech: Speech, snr: Tensor) -> tuple[Tensor, Tensor]:
    """Log-mels with noise, and the quality: measured where there is sound, else made up alike."""
    if speech.pcm is None:
        guessed = (snr + 2 + 2 * torch.randn(len(snr))) / GOOD_SNR_DB
        return noise_level(speech.level, snr), guessed.clamp(0, 1)
    pcm = add_noise(speech.pcm, snr)
    log_mel = LogMel()
    level = torch.cat([AudioEncoder.level(log_mel(part)) for part in pcm.split(32)])
    measured = [audio_quality(snr_db(np.trim_zeros(clip))) for clip in pcm.numpy()]
    return level, torch.tensor(measured)


def _voices(speaker: Tensor, heard: Tensor, known: float) -> Tensor:
    """(n, 3, 64): for each clip, the sums over a share of the other clips of its speaker."""
    same = (speaker[:, None] == speaker).fill_diagonal_(False)
    chosen = same & (torch.rand(same.shape) < known)
    return torch.einsum("ij,jkm->ikm", chosen.float(), heard)


@torch.inference_mode()
def encode_faces(encoder: FaceEncoder, faces: Faces) -> Clips:
    """Every face clean, blurred, in the dark, and partly hidden."""
    encoder.eval()
    grey = faces.grey.float()
    changes: tuple[Callable[[Tensor], Tensor], ...] = (lambda x: x, _blurred, _dark, cover)
    parts = []
    for kind, change in enumerate(changes):
        changed = change(grey)
        features = torch.cat([encoder.encode(part) for part in changed.split(AT_ONCE)])
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
    """A tenth of the light or less, and a sensor's noise; in whole grey levels."""
    light = 0.1 * torch.rand(len(grey), 1, 1)
    return (grey * light + 2 * torch.randn_like(grey)).clamp(0, 255).round()


def _joined(parts: list[Clips]) -> Clips:
    """The same clips in several conditions."""
    return Clips(*(torch.cat([getattr(p, name) for p in parts]) for name in Clips.__slots__))
