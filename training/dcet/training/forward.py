"""From a batch of dialogues to predictions, the same way in training and in evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from dcet.training.batches import Batch, Example, in_order
from dcet.training.model import Dcet

UTTERANCES_AT_ONCE = 40  # of similar length: short ones do not pay for the padding of long ones
DIALOGUES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Outputs:
    """Of N turns."""

    utterances: Tensor  # (N, d) fused, before the memory
    logits: Tensor  # (N, 7)
    sentiment: Tensor  # (N,)
    shift: Tensor  # (N,) logits


def encode_texts(model: Dcet, tokens: Sequence[tuple[int, ...]]) -> Tensor:
    """N token sequences -> (N, text_width), sorted into groups of similar length on the way.

    Training runs in bf16, twice as fast where the processor has it. What pads a group is masked, so
    any id does.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    parts = []
    # One autocast for all groups: it casts the weights once.
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=model.training):
        for start in range(0, len(order), UTTERANCES_AT_ONCE):
            group = [tokens[i] for i in order[start : start + UTTERANCES_AT_ONCE]]
            longest = len(group[-1])
            ids = torch.tensor([ids + (0,) * (longest - len(ids)) for ids in group], device=device)
            lengths = torch.tensor([len(ids) for ids in group], device=device)
            mask = (torch.arange(longest, device=device) < lengths[:, None]).long()
            parts.append(model.text(ids, mask).float())
    back = torch.empty(len(order), dtype=torch.long, device=device)
    back[torch.tensor(order, device=device)] = torch.arange(len(order), device=device)
    return torch.cat(parts)[back]


def forward(
    model: Dcet,
    batch: Batch,
    *,
    modality_mask: Tensor,
    remember: bool = True,
) -> Outputs:
    """Run a batch; `modality_mask` (N, 3) says what each turn may use."""
    text = encode_texts(model, batch.tokens)
    count, config = len(text), model.config
    heard = modality_mask[:, 1]
    # One set of prosody figures stands for the turn: a sequence of length one.
    utterances, _ = model.step.fusion(
        text,
        pad((batch.prosody * heard[:, None])[:, None], (0, 0, 0, config.audio_length - 1)),
        pad(heard[:, None], (0, config.audio_length - 1)),
        torch.zeros(count, config.face_length, config.face_width),
        torch.zeros(count, config.face_length),
        modality_mask,
        torch.ones(count, 3),
    )
    contexts = model.converse(utterances[batch.place], batch.speakers, remember=remember)
    logits, sentiment, shift = model.step.heads(contexts[batch.valid])
    return Outputs(utterances, logits, sentiment.squeeze(-1), shift.squeeze(-1))


@dataclass(frozen=True, slots=True)
class Predictions:
    """What `dcet.runtime.metrics.conversation_metrics` takes, one row a turn, in reading order."""

    probabilities: NDArray[np.float32]  # (n, 7)
    sentiment: NDArray[np.float32]  # (n,)
    shift: NDArray[np.float32]  # (n,)
    logits: NDArray[np.float32]  # (n, 7)


@torch.inference_mode()
def predict(
    model: Dcet,
    items: Sequence[Example],
    *,
    listen: bool = True,
    remember: bool = True,
) -> Predictions:
    """Evaluate in FP32.

    `listen=False` leaves prosody out; `remember=False` resets the memory before every turn.
    """
    model.eval()
    outputs = []
    for batch in in_order(items, DIALOGUES_AT_ONCE):
        heard = batch.prosody_mask * listen
        mask = torch.stack([torch.ones_like(heard), heard, torch.zeros_like(heard)], dim=1)
        outputs.append(forward(model, batch, modality_mask=mask, remember=remember))
    logits = torch.cat([output.logits for output in outputs])
    return Predictions(
        probabilities=logits.softmax(dim=-1).numpy(),
        sentiment=torch.cat([output.sentiment for output in outputs]).numpy(),
        shift=torch.cat([output.shift for output in outputs]).sigmoid().numpy(),
        logits=logits.numpy(),
    )
