"""A text encoder made smaller: fewer layers, words and positions."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel

from dcet.runtime.errors import ConfigError
from dcet.training.network.vocabulary import prune_vocabulary
from dcet.training.saved.checkpoint import MAX_TOKENS
from dcet.training.settings import Count, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig(Settings):
    """The shape of a text student, which is cut out of a larger encoder."""

    encoder: str = "teacher"  # or a Hugging Face encoder, by hub id or folder
    layers: Sequence[int] | None = None  # which are kept, from 0; None keeps all
    vocabulary: Count | None = None  # words that are kept (WordPiece only); None keeps all


def smaller_encoder(
    config: TextConfig, backbone: PreTrainedModel, tokenizer: Tokenizer, texts: Sequence[str]
) -> tuple[PreTrainedModel, Tokenizer]:
    """Copy `backbone` and its tokenizer and cut them to size; `texts` are tokenised as before.

    Raises ConfigError where it has no such layers, FixedVocabulary where words cannot be cut.
    """
    backbone = copy.deepcopy(backbone)
    if config.layers is not None:
        _keep_layers(backbone, config.layers)
    if config.vocabulary is not None and config.vocabulary < tokenizer.get_vocab_size():
        words = backbone.get_input_embeddings()
        assert isinstance(words, nn.Embedding)
        tokenizer, words = prune_vocabulary(tokenizer, words, config.vocabulary, keep=texts)
        backbone.set_input_embeddings(words)
        backbone.config.vocab_size = words.num_embeddings
    if backbone.config.model_type in ("bert", "mpnet"):
        _keep_positions(backbone, MAX_TOKENS)
    return backbone, tokenizer


def _keep_layers(backbone: PreTrainedModel, kept: Sequence[int]) -> None:
    depth = backbone.config.num_hidden_layers
    if not kept or sorted(set(kept)) != list(kept) or not set(kept) <= set(range(depth)):
        raise ConfigError(
            f"layers: expected some of 0 to {depth - 1} in ascending order, got {list(kept)}"
        )
    stacks = [
        part
        for part in backbone.modules()
        if isinstance(part, nn.ModuleList) and len(part) == depth
    ]
    if len(stacks) != 1:
        raise ConfigError(
            f"layers: cannot tell which are those of a {backbone.config.model_type}; "
            "leave them out to keep all"
        )
    for number in reversed(range(depth)):
        if number not in kept:
            del stacks[0][number]
    backbone.config.num_hidden_layers = len(kept)


def _keep_positions(backbone: PreTrainedModel, count: int) -> None:
    """Drop the positions that no text reaches once the tokenizer has truncated it."""
    embeddings = backbone.get_submodule("embeddings")
    before = embeddings.position_embeddings
    assert isinstance(before, nn.Embedding)
    if before.padding_idx is not None:  # MPNet's begin after that of padding
        count += before.padding_idx + 1
    if count < before.num_embeddings:
        after = nn.Embedding(count, before.embedding_dim, padding_idx=before.padding_idx)
        with torch.no_grad():
            after.weight.copy_(before.weight[:count])
        embeddings.position_embeddings = after
        backbone.config.max_position_embeddings = count
