"""Text encoding in batches of utterances of similar length."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dcet.training.device import device_of
from dcet.training.network.mixed_precision import mixed_precision
from dcet.training.network.model import TextEncoder

UTTERANCES_AT_ONCE = 20  # of similar length: short ones do not pay for the padding of long ones
TEXTS_AT_ONCE = 16  # single texts of a batch differ in length more than those of dialogues


class HasTextEncoder(Protocol):
    """A network with a text encoder."""

    text: TextEncoder
    training: bool


def encode_texts(
    model: HasTextEncoder, tokenizer: Tokenizer, texts: Sequence[str], *, fast: bool = False
) -> Tensor:
    """Encode N texts: features (N, text_width).

    Computes in bfloat16 in training, and outside of it if asked to be `fast`.
    """
    tokens = [tuple(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]
    return encode_tokens(model, tokens, at_once=TEXTS_AT_ONCE, fast=fast)


def encode_tokens(
    model: HasTextEncoder,
    tokens: Sequence[tuple[int, ...]],
    *,
    at_once: int = UTTERANCES_AT_ONCE,
    fast: bool = False,
) -> Tensor:
    """Encode N token sequences: features (N, text_width). See `encode_texts`."""
    device = device_of(model.text)
    # One autocast for all groups: it casts the weights once.
    with mixed_precision(device, enabled=model.training or fast):
        return by_length(model.text, tokens, at_once, device)


def by_length(
    encode: Callable[[Tensor, Tensor], Tensor],
    tokens: Sequence[tuple[int, ...]],
    at_once: int,
    device: torch.device,
) -> Tensor:
    """Call `encode` on groups of similar length; return one row per sequence, in the order given.

    Padding is masked, so its token id does not matter.
    """
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    parts = []
    for start in range(0, len(order), at_once):
        group = [tokens[i] for i in order[start : start + at_once]]
        longest = len(group[-1])
        ids = torch.tensor([ids + (0,) * (longest - len(ids)) for ids in group], device=device)
        lengths = torch.tensor([len(ids) for ids in group], device=device)
        mask = (torch.arange(longest, device=device) < lengths[:, None]).long()
        parts.append(encode(ids, mask).float())
    back = torch.empty(len(order), dtype=torch.long, device=device)
    back[torch.tensor(order, device=device)] = torch.arange(len(order), device=device)
    return torch.cat(parts)[back]
