"""Features of face crops: a model like ResNet or a vision transformer, or DCET's own encoder."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dcet.dvcea.layers import hidden_layer
from dcet.dvcea.settings import BuildConfig
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.saved import encoder_run
from dcet.training.saved.hub_models import hub_model, hub_settings, picture_norm, picture_side


class HubFaces:
    """A model of Hugging Face that takes pictures. Raises ConfigError."""

    licences: Mapping[str, str] = {}

    def __init__(self, config: BuildConfig) -> None:
        name = config.visual_encoder
        self.model = hub_model(name, "visual_encoder")
        self.kind: str = self.model.config.model_type
        self.layer, self.pooling = config.visual_layer, config.visual_pooling
        self.step_us: int | None = config.step_us
        settings = hub_settings(name, "visual_encoder")
        self.side = picture_side(self.model.config, settings)
        self._norm = picture_norm(settings)
        with torch.inference_mode():
            self.width: int = self(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)).shape[1]

    def __call__(self, crops: Tensor) -> Tensor:
        """Encode crops (n, h, w, 3) uint8 RGB: (n, width)."""
        pixels = crops.permute(0, 3, 1, 2).float() / 255
        if pixels.shape[-1] != self.side:
            size = (self.side, self.side)
            pixels = interpolate(pixels, size, mode="bilinear", antialias=True)
        mean, spread = (part.to(pixels.device) for part in self._norm)
        outputs = self.model((pixels - mean) / spread, output_hidden_states=True)
        hidden = hidden_layer(outputs, self.layer, "visual_layer").float()
        # Maps (n, width, h, w) of convolutions, or patches (n, k, width) of transformers.
        places = hidden.flatten(2) if hidden.ndim == 4 else hidden.transpose(1, 2)
        return places.amax(dim=2) if self.pooling == "max" else places.mean(dim=2)


class OwnFaces:
    """DCET's own face encoder. Raises CheckpointError or ConfigError."""

    kind, layer, pooling = "dcet", -1, "mean"

    def __init__(self, config: BuildConfig) -> None:
        run = encoder_run.find_encoder(config.visual_encoder, "face")
        assert isinstance(run.model, FaceEncoder)
        self.model, self.licences = run.model.eval(), run.licences
        self.width, self.step_us = run.model.config.width, config.step_us

    def __call__(self, crops: Tensor) -> Tensor:
        """Encode crops (n, h, w, 3) uint8 RGB: (n, width)."""
        features: Tensor = self.model(crops)
        return features
