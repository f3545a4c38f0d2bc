"""Texts on their own, outside any conversation."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dcet.training.dialogue.forward import ReadsText, encode_texts, text_alone
from dcet.training.network.model import Step, initial_state

TEXTS_AT_ONCE = 16  # single texts of a batch differ in length more than those of dialogues


def read_texts(
    model: ReadsText, tokenizer: Tokenizer, texts: Sequence[str], *, fast: bool = False
) -> Tensor:
    """N texts -> features (N, text_width); in bf16 in training and where it should be `fast`."""
    tokens = [tuple(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]
    return encode_texts(model, tokens, at_once=TEXTS_AT_ONCE, fast=fast)


def logits_alone(step: Step, features: Tensor) -> Tensor:
    """Text features (N, text_width) -> logits (N, 7), each as the first turn of a conversation."""
    config, count = step.config, len(features)
    senses = text_alone(config, count)
    utterance, _ = step.fusion(features, *(getattr(senses, f.name) for f in fields(senses)))
    context, _ = step.memory(
        utterance,
        torch.ones(count, 1),
        torch.zeros(count, config.episodes, config.width),
        torch.zeros(count, config.episodes),
        initial_state(config, count),
    )
    logits: Tensor = step.heads(context)[0]
    return logits
