"""The forward pass over a batch of dialogues, the same in training and in evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcet.training.device import device_of, moved
from dcet.training.dialogue.batches import Batch, Example, in_order
from dcet.training.network.model import Dcet, FusionInputs, ModelConfig, Step, initial_state
from dcet.training.network.text_batches import encode_tokens

DIALOGUES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Outputs:
    """The network's outputs for N turns."""

    utterances: Tensor  # (N, d) fused, before the memory
    weights: Tensor  # (N, 3) of the modalities
    modality_mask: Tensor  # (N, 3)
    trust: Tensor  # (N, 3) quality times familiarity of the modalities
    logits: Tensor  # (N, 7)
    sentiment: Tensor  # (N,)
    confidence: Tensor  # (N,)
    shift: Tensor  # (N,) probabilities, without meaning on a speaker's first turn


def text_alone(config: ModelConfig, text: Tensor) -> FusionInputs:
    """Return the inputs of turns that have text features (N, text_width) and nothing else."""
    count = len(text)
    with text.device:
        return FusionInputs(
            text=text,
            audio=torch.zeros(count, config.audio_length, config.audio_width),
            audio_mask=torch.zeros(count, config.audio_length),
            face=torch.zeros(count, config.face_length, config.face_width),
            face_mask=torch.zeros(count, config.face_length),
            modality_mask=torch.tensor([[1.0, 0.0, 0.0]]).expand(count, 3),
            quality=torch.ones(count, 3),
        )


def forward(model: Dcet, batch: Batch, *, remember: bool = True, fast: bool = False) -> Outputs:
    """Run a batch of dialogues, text alone; `fast` as in `encode_tokens`."""
    text = encode_tokens(model, batch.tokens, fast=fast)
    return converse(model, batch, text_alone(model.config, text), remember=remember)


def converse(model: Dcet, batch: Batch, inputs: FusionInputs, *, remember: bool = True) -> Outputs:
    """Fuse the inputs of the N turns of a batch and run the memory.

    With `remember=False` the memory is reset before every turn.
    """
    fused = model.step.fusion(inputs)
    contexts = model.converse(fused.utterance[batch.place], batch.speakers, remember=remember)
    logits, sentiment = model.step.heads(contexts[batch.valid], fused.direct, inputs.modality_mask)
    probabilities = logits.detach().softmax(dim=-1)  # no loss asks for the shift
    known = batch.previous >= 0 if remember else torch.zeros_like(batch.previous)
    shift = model.step.shift(probabilities, probabilities[batch.previous] * known[:, None])
    trust = inputs.quality * fused.familiarity
    confidence = model.step.confidence(probabilities, inputs.modality_mask, trust)
    return Outputs(
        utterances=fused.utterance,
        weights=fused.weights,
        modality_mask=inputs.modality_mask,
        trust=trust,
        logits=logits,
        sentiment=sentiment.squeeze(-1),
        confidence=confidence.squeeze(-1),
        shift=shift.squeeze(-1),
    )


def first_turn_logits(step: Step, inputs: FusionInputs) -> Tensor:
    """Classify N turns, each as the first of a conversation: (N, 7)."""
    config, count = step.config, len(inputs.modality_mask)
    fused = step.fusion(inputs)
    with fused.utterance.device:
        speaker, episodes = torch.ones(count, 1), torch.zeros(count, config.episodes, config.width)
        state = initial_state(config, count)
    context, _ = step.memory(fused.utterance, speaker, episodes, episodes[..., 0], state)
    logits: Tensor = step.heads(context, fused.direct, inputs.modality_mask)[0]
    return logits


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions `dcet.data.metrics.conversation_metrics` takes, a row per turn, in order."""

    probabilities: NDArray[np.float32]  # (n, 7)
    sentiment: NDArray[np.float32]  # (n,)
    confidence: NDArray[np.float32]  # (n,)
    shift: NDArray[np.float32]  # (n,)
    logits: NDArray[np.float32]  # (n, 7)


@torch.inference_mode()
def predict(model: Dcet, items: Sequence[Example], *, remember: bool = True) -> Predictions:
    """Evaluate text alone, in FP32. `remember=False` resets the memory before every turn."""
    model.eval()
    device = device_of(model)
    return collect(
        [
            forward(model, moved(batch, device), remember=remember)
            for batch in in_order(items, DIALOGUES_AT_ONCE)
        ]
    )


def collect(outputs: Sequence[Outputs]) -> Predictions:
    """Join the outputs of several batches."""
    sentiment, confidence, shift, logits = (
        torch.cat([getattr(output, name) for output in outputs]).cpu()
        for name in ("sentiment", "confidence", "shift", "logits")
    )
    return Predictions(
        probabilities=logits.softmax(dim=-1).numpy(),
        sentiment=sentiment.numpy(),
        confidence=confidence.numpy(),
        shift=shift.numpy(),
        logits=logits.numpy(),
    )
