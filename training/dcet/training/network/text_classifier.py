"""A text encoder with a head that classifies a single utterance."""

from torch import nn
from transformers import PreTrainedModel

from dcet.runtime.labels import EMOTIONS
from dcet.training.network.model import TextEncoder


class TextClassifier(nn.Module):
    """A text encoder; `head` classifies its features, as in the audio and the face encoder."""

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.text = TextEncoder(backbone)
        self.head = nn.Linear(backbone.config.hidden_size, len(EMOTIONS))
