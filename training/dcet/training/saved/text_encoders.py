"""Text encoders: of Hugging Face, by hub id or folder, or DCET's own, of a checkpoint or a run."""

from collections.abc import Mapping

from tokenizers import Tokenizer
from transformers import PreTrainedModel

from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import checkpoint, encoder_run


def is_own(name: str) -> bool:
    """Tell an encoder of DCET's own from a model of Hugging Face."""
    return encoder_run.kind_of(name) is not None


def load_text(name: str, option: str) -> tuple[PreTrainedModel, Tokenizer, Mapping[str, str]]:
    """Load a text encoder without a pooler, its tokenizer, and its licences.

    Raises CheckpointError, or ConfigError, naming the `option` that asked for it.
    """
    if not is_own(name):
        backbone, tokenizer = checkpoint.pretrained(name, option)
        return checkpoint.without_pooler(backbone).eval(), tokenizer, {}
    if encoder_run.kind_of(name) == "encoder":
        run = encoder_run.find_encoder(name, "text")
        assert isinstance(run.model, TextClassifier)
        assert run.tokenizer is not None
        return run.model.text.backbone.eval(), run.tokenizer, run.licences
    loaded = checkpoint.load(name)
    return loaded.model.text.backbone.eval(), loaded.tokenizer, loaded.licences
