"""The three encoders of a build, on one device.

On CUDA they compute in bfloat16. The same utterances together give the same features, bit for bit;
in other company the last digits may differ.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dcet.dvcea.layers import Described
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.sound_encoders import HubSound, OwnSound
from dcet.dvcea.text_encoders import TextModel
from dcet.dvcea.visual_encoders import HubFaces, OwnFaces
from dcet.runtime.arrays import Floats
from dcet.runtime.senses.text import share_known
from dcet.training.network.text_batches import by_length
from dcet.training.saved.hub_models import short_name
from dcet.training.saved.text_encoders import is_own
from dcet.training.saved.weights import weights_sha256

PICTURES_AT_ONCE = 64
TEXTS_AT_ONCE = 16

Times = NDArray[np.int64]


class Encoders:
    """Encoders of faces, sound and text.

    device: `cpu` or `cuda`

    Raises ConfigError or CheckpointError where one cannot be loaded.
    """

    def __init__(self, config: BuildConfig, device: str) -> None:
        self._config, self.device = config, device
        self._device = torch.device(device)
        self._precision = "bf16" if device == "cuda" else "fp32"
        faces, sound = config.visual_encoder, config.audio_encoder
        self._faces = OwnFaces(config) if is_own(faces) else HubFaces(config)
        self._sound = OwnSound(config) if is_own(sound) else HubSound(config)
        self._text = TextModel(config)
        for encoder in self._all.values():
            torch.nn.Module.to(encoder.model, self._device)

    @property
    def _all(self) -> Mapping[str, Described]:
        return {"visual": self._faces, "audio": self._sound, "text": self._text}

    @property
    def widths(self) -> dict[str, int]:
        """The widths of the features of visual, audio and text."""
        return {name: encoder.width for name, encoder in self._all.items()}

    @property
    def licences(self) -> dict[str, str]:
        """The licences that the encoders came with."""
        return {
            key: value for encoder in self._all.values() for key, value in encoder.licences.items()
        }

    def rows(self) -> dict[str, dict[str, Any]]:
        """Describe the encoders for the manifest; hashes all weights."""
        rows = {}
        for modality, encoder in self._all.items():
            row: dict[str, Any] = {
                "name": short_name(getattr(self._config, f"{modality}_encoder")),
                "kind": encoder.kind,
                "sha256": weights_sha256(encoder.model),
                "layer": encoder.layer,
                "pooling": encoder.pooling,
                "precision": self._precision,
            }
            rows[modality] = row | ({"step_us": encoder.step_us} if encoder.step_us else {})
        return rows

    def faces(self, crops: NDArray[np.uint8]) -> Floats:
        """Encode crops (n, side, side, 3) RGB, n at least 1: (n, width)."""
        parts = []
        with torch.inference_mode(), self._autocast():
            for part in torch.from_numpy(crops).split(PICTURES_AT_ONCE):
                parts.append(self._faces(part.to(self._device)).float().cpu())
        encoded: Floats = torch.cat(parts).numpy()
        return encoded

    def sounds(self, sounds: Sequence[Floats]) -> list[tuple[Floats, Times]]:
        """Encode sounds (n,) at 16 kHz: features (k, width) and times (k,) in us of each."""
        with torch.inference_mode(), self._autocast():
            encoded = self._sound(sounds, self._device)
        return [(part.features.numpy(), part.times_us.numpy()) for part in encoded]

    def texts(self, texts: Sequence[str]) -> tuple[Floats, list[float]]:
        """Encode n texts, at least 1: features (n, width), and their qualities."""
        encodings = self._text.tokenizer.encode_batch(list(texts))
        tokens = [tuple(encoding.ids) for encoding in encodings]
        with torch.inference_mode(), self._autocast():
            features = by_length(self._text, tokens, TEXTS_AT_ONCE, self._device)
        encoded: Floats = features.float().cpu().numpy()
        return encoded, [share_known(encoding) for encoding in encodings]

    def _autocast(self) -> torch.autocast:
        is_on = self._precision == "bf16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=is_on)
