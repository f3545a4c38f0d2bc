"""From a batch of dialogues to predictions, the same way in training and in evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcet.training.dialogue.batches import Batch, Example, in_order
from dcet.training.network.model import Dcet, ModelConfig, TextEncoder
from dcet.training.run.mixed_precision import mixed_precision

UTTERANCES_AT_ONCE = 40  # of similar length: short ones do not pay for the padding of long ones
DIALOGUES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Outputs:
    """Of N turns."""

    utterances: Tensor  # (N, d) fused, before the memory
    weights: Tensor  # (N, 3) of the modalities
    logits: Tensor  # (N, 7)
    sentiment: Tensor  # (N,)
    shift: Tensor  # (N,) logits


class ReadsText(Protocol):
    """A network that has a text encoder."""

    text: TextEncoder
    training: bool


def encode_texts(
    model: ReadsText,
    tokens: Sequence[tuple[int, ...]],
    *,
    at_once: int = UTTERANCES_AT_ONCE,
    fast: bool = False,
) -> Tensor:
    """N token sequences -> (N, text_width).

    Training runs in bf16 where the processor has it; `fast` asks for it outside of training too.
    """
    device = next(model.text.parameters()).device
    # One autocast for all groups: it casts the weights once.
    with mixed_precision(enabled=model.training or fast):
        return by_length(model.text, tokens, at_once, device)


def by_length(
    encode: Callable[[Tensor, Tensor], Tensor],
    tokens: Sequence[tuple[int, ...]],
    at_once: int,
    device: torch.device,
) -> Tensor:
    """`encode` token sequences in groups of similar length; one row each, in the order given.

    What pads a group is masked, so any id does.
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


@dataclass(frozen=True, slots=True)
class Senses:
    """What the step is fed of N turns beside the text; see docs/bundle-format.md."""

    audio: Tensor  # (N, audio_length, audio_width)
    audio_mask: Tensor  # (N, audio_length)
    face: Tensor  # (N, face_length, face_width)
    face_mask: Tensor  # (N, face_length)
    modality_mask: Tensor  # (N, 3)
    quality: Tensor  # (N, 3)


def text_alone(config: ModelConfig, count: int) -> Senses:
    """Nothing is heard and nothing seen."""
    return Senses(
        torch.zeros(count, config.audio_length, config.audio_width),
        torch.zeros(count, config.audio_length),
        torch.zeros(count, config.face_length, config.face_width),
        torch.zeros(count, config.face_length),
        torch.tensor([[1.0, 0.0, 0.0]]).expand(count, 3),
        torch.ones(count, 3),
    )


def forward(model: Dcet, batch: Batch, *, remember: bool = True) -> Outputs:
    """Read a batch of dialogues, text alone."""
    text = encode_texts(model, batch.tokens)
    return converse(model, batch, text, text_alone(model.config, len(text)), remember=remember)


def converse(
    model: Dcet, batch: Batch, text: Tensor, senses: Senses, *, remember: bool = True
) -> Outputs:
    """Fuse text features (N, text_width) with the other senses and run the memory."""
    utterances, weights = model.step.fusion(
        text, *(getattr(senses, field.name) for field in fields(senses))
    )
    contexts = model.converse(utterances[batch.place], batch.speakers, remember=remember)
    logits, sentiment, shift = model.step.heads(contexts[batch.valid])
    return Outputs(utterances, weights, logits, sentiment.squeeze(-1), shift.squeeze(-1))


@dataclass(frozen=True, slots=True)
class Predictions:
    """What `dcet.data.metrics.conversation_metrics` takes, one row a turn, in reading order."""

    probabilities: NDArray[np.float32]  # (n, 7)
    sentiment: NDArray[np.float32]  # (n,)
    shift: NDArray[np.float32]  # (n,)
    logits: NDArray[np.float32]  # (n, 7)


@torch.inference_mode()
def predict(model: Dcet, items: Sequence[Example], *, remember: bool = True) -> Predictions:
    """Evaluate text alone, in FP32. `remember=False` resets the memory before every turn."""
    model.eval()
    return collect(
        [forward(model, batch, remember=remember) for batch in in_order(items, DIALOGUES_AT_ONCE)]
    )


def collect(outputs: Sequence[Outputs]) -> Predictions:
    """Of several batches."""
    logits = torch.cat([output.logits for output in outputs])
    return Predictions(
        probabilities=logits.softmax(dim=-1).numpy(),
        sentiment=torch.cat([output.sentiment for output in outputs]).numpy(),
        shift=torch.cat([output.shift for output in outputs]).sigmoid().numpy(),
        logits=logits.numpy(),
    )
