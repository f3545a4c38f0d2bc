"""Features of text: a model like BERT, of Hugging Face or DCET's own."""

from torch import Tensor

from dcet.dvcea.layers import hidden_layer
from dcet.dvcea.settings import BuildConfig
from dcet.training.saved.text_encoders import is_own, load_text


class TextModel:
    """A text encoder. Raises CheckpointError or ConfigError."""

    step_us = None

    def __init__(self, config: BuildConfig) -> None:
        name = config.text_encoder
        self.model, self.tokenizer, self.licences = load_text(name, "text_encoder")
        self.kind = "dcet" if is_own(name) else str(self.model.config.model_type)
        self.width: int = self.model.config.hidden_size
        self.layer, self.pooling = config.text_layer, config.text_pooling

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode token ids and their mask (n, tokens): (n, width)."""
        outputs = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        hidden = hidden_layer(outputs, self.layer, "text_layer")
        if self.pooling == "first":
            return hidden[:, 0]
        weights = mask.to(hidden.dtype)[..., None]
        pooled: Tensor = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return pooled
