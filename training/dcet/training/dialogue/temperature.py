"""What is fitted to a trained checkpoint: temperature, prior, confidence and shift."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dcet.data.meld import Dialogue
from dcet.data.metrics import conversation_metrics
from dcet.training.corpora.classes import label_shares
from dcet.training.corpora.corpus import Corpus
from dcet.training.device import CPU
from dcet.training.dialogue.batches import NONE, Batch, Example, collate, examples
from dcet.training.dialogue.fit_judgements import fit_confidence, fit_shift
from dcet.training.dialogue.forward import predict
from dcet.training.network.judgements import modality_sets
from dcet.training.network.model import Dcet, Step
from dcet.training.saved import checkpoint

TEXT_ALONE = (1.0, 0.0, 0.0)  # a modality mask


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the scale of (n, 7) logits that is likeliest on (n,) labels.

    The inverse of a temperature (Guo et al., ICML 2017).
    """
    log_scale = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale], max_iter=100, line_search_fn="strong_wolfe")

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
    share in training: 0 leaves the logits alone, 1 treats all emotions as equally frequent, and
    below 0 frequent ones are predicted more often still.
    """
    return bias_of(
        torch.tensor([turn.emotion for dialogue in dialogues for turn in dialogue.turns]), strength
    )


def bias_of(labels: torch.Tensor, strength: float) -> torch.Tensor:
    """Return the same for labels (n,)."""
    return -strength * label_shares(labels).clamp_min(1e-6).log()


@torch.no_grad()
def calibrate_head(
    head: nn.Linear, features: torch.Tensor, labels: torch.Tensor, bias: torch.Tensor
) -> None:
    """Shift the logits of an encoder's head by `bias` (7,), then fit their scale to labels (n,).

    features: (n, width) that the labels are of

    Both become part of the head's weights.
    """
    head.bias.add_(bias.to(head.bias.device))
    logits = head(features).cpu()
    with torch.enable_grad():
        scale = fit_temperature(logits, labels)
    head.weight.mul_(scale)
    head.bias.mul_(scale)


def calibrate(
    folder: Path, dev: Corpus, bias: torch.Tensor, device: torch.device = CPU
) -> Mapping[str, Any]:
    """Give the checkpoint its `bias` (7,), fit to `dev` what `judge_text` fits, save all of it.

    Returns its figures on dev, as `judge_text`.
    """
    loaded = checkpoint.load(folder, device)
    loaded.model.step.heads.calibration_bias.copy_(bias)
    figures = judge_text(loaded, dev)
    checkpoint.save(folder, dataclasses.replace(loaded, metrics=figures))
    return figures


def recalibrate(
    name: str,
    meld: Path,
    output: Path,
    device: torch.device = CPU,
    *,
    prior_adjustment: float | None = None,
) -> Mapping[str, Any]:
    """Fit again, to MELD's dev split in the folder `meld`, what `judge_text` fits; write `output`.

    The checkpoint stays as it was. What is not of text alone, other metrics, and the logits and the
    confidence of other modalities, is the same in both. Returns the figures on dev. Raises
    CheckpointError, DataError or WriteError.

    prior_adjustment: for text alone, of MELD's training split, see `prior_bias`; None: as it is
    """
    loaded = checkpoint.load(name, device)
    heads = loaded.model.step.heads
    bias, scale = heads.calibration_bias.clone(), heads.calibration_scale.clone()
    if prior_adjustment is not None:
        dialogues = Corpus.of_meld(meld, "train").dialogues
        heads.calibration_bias.copy_(prior_bias(dialogues, prior_adjustment))
    figures = judge_text(loaded, Corpus.of_meld(meld, "dev"))
    others = modality_sets(torch.tensor(TEXT_ALONE, device=device)) == 0
    heads.set_bias[others] -= heads.calibration_bias - bias
    heads.set_scale[others] *= scale / heads.calibration_scale
    checkpoint.save(output, dataclasses.replace(loaded, metrics={**loaded.metrics, **figures}))
    return figures


def judge_text(loaded: checkpoint.Checkpoint, dev: Corpus) -> dict[str, Any]:
    """Fit temperature, confidence and shift of the model to `dev`; return the figures there, of
    text alone.

    `dev_memory_reset` are the figures of the same weights with the memory reset before every turn.
    """
    model = loaded.model
    items = examples(dev, loaded.tokenizer)
    _fit_to_text(model, items)
    figures = {}
    for name, remember in (("dev", True), ("dev_memory_reset", False)):
        predictions = predict(model, items, remember=remember)
        figures[name] = conversation_metrics(
            dev.dialogues,
            predictions.probabilities,
            predictions.sentiment,
            predictions.shift,
            predictions.confidence,
        )
    return figures


def _fit_to_text(model: Dcet, items: Sequence[Example]) -> None:
    """Fit what `fit_to` fits to turns of text alone, all of which are labelled."""
    model.step.heads.calibration_scale.fill_(1.0)
    logits = torch.from_numpy(predict(model, items).logits)
    text_alone = torch.tensor(TEXT_ALONE).expand(len(logits), 3)
    trust, rows = torch.ones_like(text_alone), torch.ones(len(logits), dtype=torch.bool)
    fit_to(model.step, collate(items), logits, text_alone, trust, rows)


def fit_to(
    step: Step,
    labelled: Batch,
    logits: torch.Tensor,
    mask: torch.Tensor,
    trust: torch.Tensor,
    rows: torch.Tensor,
) -> None:
    """Fit temperature, confidence and shift, in that order: each reads what the last made.

    logits: (n, 7) at a scale of 1; mask, trust: (n, 3) as `fit_confidence` takes them
    rows: (n,) which of the turns are labelled
    """
    emotion = labelled.emotion
    scale = fit_temperature(logits[rows], emotion[rows])
    step.heads.calibration_scale.fill_(scale)
    probabilities = (logits * scale).softmax(dim=-1)
    fit_confidence(step.confidence, probabilities[rows], emotion[rows], mask[rows], trust[rows])
    later = (rows & (labelled.previous != NONE)).nonzero()[:, 0]
    before = labelled.previous[later]
    later, before = later[rows[before]], before[rows[before]]
    shifted = emotion[later] != emotion[before]
    fit_shift(step.shift, probabilities[later], probabilities[before], shifted)
