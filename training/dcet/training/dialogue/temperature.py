"""Temperature scaling and prior adjustment of a trained checkpoint."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from dcet.data.meld import Dialogue
from dcet.data.metrics import conversation_metrics
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.forward import predict
from dcet.training.saved import checkpoint


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the scale of (n, 7) logits that is likeliest on (n,) labels.

    The inverse of a temperature (Guo et al., ICML 2017).
    """
    log_scale = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale], lr=0.1, max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(logits * log_scale.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(log_scale.detach().exp())


def prior_bias(dialogues: Sequence[Dialogue], strength: float) -> torch.Tensor:
    """Return what to add to the logits (7,), so that rare emotions are predicted more often.

    Post-hoc logit adjustment (Menon et al., ICLR 2021), `strength` times the log of each emotion's
    share in training: 0 leaves the logits alone, 1 treats all emotions as equally frequent.
    """
    labels = torch.tensor([turn.emotion for dialogue in dialogues for turn in dialogue.turns])
    share = torch.bincount(labels, minlength=len(EMOTIONS)) / len(labels)
    return -strength * share.clamp_min(1e-6).log()


def calibrate(folder: Path, dev: Corpus, bias: torch.Tensor) -> Mapping[str, Any]:
    """Give the checkpoint its `bias` (7,), fit its temperature on `dev`, save both.

    Returns its figures on dev, as `judge_text`.
    """
    loaded = checkpoint.load(folder)
    loaded.model.step.heads.calibration_bias.copy_(bias)
    figures = judge_text(loaded, dev)
    checkpoint.save(folder, dataclasses.replace(loaded, metrics=figures))
    return figures


def judge_text(loaded: checkpoint.Checkpoint, dev: Corpus) -> dict[str, Any]:
    """Fit the temperature of the model on `dev`; return the figures there, of text alone.

    `dev_memory_reset` are the figures of the same weights with the memory reset before every turn.
    """
    model, heads = loaded.model, loaded.model.step.heads
    items = examples(dev, loaded.tokenizer)
    heads.calibration_scale.fill_(1.0)
    plain = torch.from_numpy(predict(model, items).logits)
    labels = torch.tensor([turn.emotion for dialogue in dev.dialogues for turn in dialogue.turns])
    heads.calibration_scale.fill_(fit_temperature(plain, labels))
    figures = {}
    for name, remember in (("dev", True), ("dev_memory_reset", False)):
        predictions = predict(model, items, remember=remember)
        figures[name] = conversation_metrics(
            dev.dialogues, predictions.probabilities, predictions.sentiment, predictions.shift
        )
    return figures
