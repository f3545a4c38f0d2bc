"""A text encoder that says what it thinks of a single utterance."""

from torch import nn
from transformers import PreTrainedModel

from dcet.runtime.labels import EMOTIONS
from dcet.training.network.model import TextEncoder


class TextClassifier(nn.Module):
    """`head` classifies a single utterance, as those of the audio and the face encoder do."""

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.text = TextEncoder(backbone)
        self.head = nn.Linear(backbone.config.hidden_size, len(EMOTIONS))
