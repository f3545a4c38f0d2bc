"""Teachers from Hugging Face, each with its own tokenizer and normalisation.

Features are the mean of the last hidden state. A classifier whose labels include the seven
emotions, under any of their usual names, gives logits too.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import (
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    PretrainedConfig,
)

from dcet.runtime.labels import EMOTIONS
from dcet.training.device import moved
from dcet.training.encoders.datasets import AudioBatch
from dcet.training.encoders.teacher_protocol import Teacher, TeacherAnswer
from dcet.training.network.mixed_precision import mixed_precision
from dcet.training.network.text_batches import TEXTS_AT_ONCE, by_length
from dcet.training.saved.checkpoint import pretrained
from dcet.training.saved.hub_models import (
    expect_waveforms,
    hub_config,
    hub_model,
    hub_settings,
    picture_norm,
    picture_side,
)

ALIASES = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "joy",
    "happy": "joy",
    "sad": "sadness",
    "surprised": "surprise",
}
SHOWN = 10  # labels, in an error
OPTION = "--teacher"  # what names a model that cannot be used


class TextTeacher:
    """A model like BERT."""

    ours = False
    licences: Mapping[str, str] = {}

    def __init__(self, name: str) -> None:
        config = hub_config(name, OPTION)
        self.places, self.silent = emotion_places(config), why_silent(config)
        kind = AutoModel if self.places is None else AutoModelForSequenceClassification
        self.network, self.tokenizer = pretrained(name, OPTION, kind)
        self.network.eval()
        self.width: int = config.hidden_size

    @torch.no_grad()
    def __call__(self, inputs: Sequence[str]) -> TeacherAnswer:
        tokens = [tuple(encoding.ids) for encoding in self.tokenizer.encode_batch(list(inputs))]
        with mixed_precision(self.network.device):
            both = by_length(self._encode, tokens, TEXTS_AT_ONCE, self.network.device)
        logits = None if self.places is None else both[:, self.width :]
        return TeacherAnswer(both[:, : self.width], logits)

    def _encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode: (N, width), and 7 columns of logits where the emotions are known."""
        outputs = self.network(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        hidden, weights = outputs.hidden_states[-1], mask[..., None]
        features: Tensor = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        if self.places is None:
            return features
        return torch.cat([features, outputs.logits[:, self.places]], dim=1)


class WaveformTeacher:
    """A model like wav2vec 2.0, which takes waveforms."""

    ours = False
    licences: Mapping[str, str] = {}

    def __init__(self, name: str) -> None:
        config, settings = hub_config(name, OPTION), hub_settings(name, OPTION)
        expect_waveforms(name, OPTION, config, settings)
        self.normalises = settings.get("do_normalize", True)
        self.masks = settings.get("return_attention_mask", False)
        self.places, self.silent = emotion_places(config), why_silent(config)
        kind = AutoModel if self.places is None else AutoModelForAudioClassification
        self.network = hub_model(name, OPTION, kind)
        self.width: int = config.hidden_size

    @torch.no_grad()
    def __call__(self, inputs: AudioBatch) -> TeacherAnswer:
        assert inputs.pcm is not None
        pcm, mask = inputs.pcm, sounding(inputs.pcm)
        if self.normalises:
            pcm = standardised(pcm, mask)
        with mixed_precision(self.network.device):
            outputs = self.network(
                pcm, attention_mask=mask.long() if self.masks else None, output_hidden_states=True
            )
        features = outputs.hidden_states[-1].float().mean(dim=1)
        logits = None if self.places is None else outputs.logits.float()[:, self.places]
        return TeacherAnswer(features, logits)


class PictureTeacher:
    """A model like ResNet. Grey faces are inputs to it as RGB, in its own size and range."""

    ours = False
    licences: Mapping[str, str] = {}

    def __init__(self, name: str) -> None:
        config, settings = hub_config(name, OPTION), hub_settings(name, OPTION)
        self.side = picture_side(config, settings)
        self.mean, self.spread = picture_norm(settings)
        self.places, self.silent = emotion_places(config), why_silent(config)
        kind = AutoModel if self.places is None else AutoModelForImageClassification
        self.network = hub_model(name, OPTION, kind)
        self.width = self(torch.zeros(1, 48, 48)).features.shape[1]

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> TeacherAnswer:
        grey = interpolate(
            inputs[:, None] / 255, (self.side, self.side), mode="bilinear", antialias=True
        )
        mean, spread = moved((self.mean, self.spread), grey.device)
        pixels = (grey - mean) / spread
        with mixed_precision(self.network.device):
            outputs = self.network(pixels, output_hidden_states=True)
        hidden = outputs.hidden_states[-1].float()
        # Pictures (N, width, h, w) of convolutions, or patches (N, n, width) of transformers.
        features = hidden.mean(dim=(2, 3)) if hidden.ndim == 4 else hidden.mean(dim=1)
        logits = None if self.places is None else outputs.logits.float()[:, self.places]
        return TeacherAnswer(features, logits)


HUB_TEACHERS: Mapping[str, Callable[[str], Teacher]] = {
    "text": TextTeacher,
    "audio": WaveformTeacher,
    "face": PictureTeacher,
}


def emotion_places(config: PretrainedConfig) -> list[int] | None:
    """Find the seven emotions among a model's logits; None where they are not all there."""
    if not any("Classification" in name for name in config.architectures or ()):
        return None  # a head would be made up
    places: dict[str, int] = {}
    for place, label in (config.id2label or {}).items():
        name = str(label).lower()
        places[ALIASES.get(name, name)] = int(place)
    if not set(EMOTIONS) <= places.keys():
        return None
    return [places[emotion] for emotion in EMOTIONS]


def why_silent(config: PretrainedConfig) -> str:
    """Say why a model gives no logits of the seven emotions; nothing where it does."""
    if emotion_places(config) is not None:
        return ""
    if not any("Classification" in name for name in config.architectures or ()):
        return "it is no classifier"
    labels = [str(label) for label in (config.id2label or {}).values()]
    return f"its labels are {', '.join(labels[:SHOWN])}{', …' if len(labels) > SHOWN else ''}"


def sounding(pcm: Tensor) -> Tensor:
    """Mark all up to the last sample that is not 0, and all of silence: (N, n) -> bool (N, n)."""
    place = torch.arange(pcm.shape[1], device=pcm.device)
    last = torch.where(pcm != 0, place, -1).amax(dim=1, keepdim=True)
    return (place <= last) | (last < 0)


def standardised(pcm: Tensor, mask: Tensor) -> Tensor:
    """Scale what is not padding to mean 0 and variance 1; padding stays 0."""
    count = mask.sum(dim=1, keepdim=True)
    mean = (pcm * mask).sum(dim=1, keepdim=True) / count
    variance = ((pcm - mean).square() * mask).sum(dim=1, keepdim=True) / count
    return (pcm - mean) / (variance + 1e-7).sqrt() * mask
