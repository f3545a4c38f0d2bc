"""Calibration of each set of modalities: a bias and a temperature of its own.

A model that was calibrated on text is not calibrated on faces: what is usual there is another
share of the emotions, and another sharpness. Text alone stays as it is.
"""

from collections.abc import Collection
from functools import partial
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dcet.runtime.labels import MODALITIES
from dcet.training.device import device_of, moved
from dcet.training.dialogue.fit_judgements import fit_confidence
from dcet.training.dialogue.forward import first_turn_logits
from dcet.training.dialogue.minimise import minimise
from dcet.training.fusion.encoded_dialogues import EncodedDialogues
from dcet.training.fusion.figures import run_constructed
from dcet.training.fusion.generator import Generator, by_itself
from dcet.training.fusion.outcomes import MISSING, Outcomes
from dcet.training.network.judgements import modality_sets
from dcet.training.network.model import Dcet

TURNS_ALONE = 4096
STIFFNESS = 0.01  # so that a few turns do not change much


def calibrate_sets(model: Dcet, dialogues: EncodedDialogues, generator: Generator) -> None:
    """Fit logits and confidence of the sets of modalities that have more than text.

    One voice or one face alone is fitted to what its encoder's own head says of it, and its
    confidence to its label; several modalities to the labels of constructed conversations.
    """
    model.step.heads.set_bias.zero_()
    model.step.heads.set_scale.fill_(1.0)
    _calibrate_alone(model, generator)
    for size in (2, 3):
        for kept in combinations(MODALITIES, size):
            _calibrate_together(model, dialogues, generator, kept)


@torch.no_grad()
def _calibrate_alone(model: Dcet, generator: Generator) -> None:
    inputs, emotion = generator.alone(TURNS_ALONE)
    there = moved(inputs, device_of(model))
    said = by_itself(model, there).cpu()
    logits = first_turn_logits(model.step, there).cpu()
    trust = inputs.quality * model.step.fusion(there).familiarity.cpu()
    for modality in (1, 2):
        rows = inputs.modality_mask[:, modality] == 1
        _fit(
            model,
            inputs.modality_mask[rows],
            trust[rows],
            logits[rows],
            emotion[rows],
            target=said[rows],
        )


def _calibrate_together(
    model: Dcet, dialogues: EncodedDialogues, generator: Generator, kept: Collection[str]
) -> None:
    missing = {name: MISSING for name in MODALITIES if name not in kept}
    emotion = torch.cat([item.emotion for item in dialogues.items])
    outcomes_for = partial(Outcomes.same, **missing)
    outputs = run_constructed(model, dialogues, generator, outcomes_for, seed=1)
    mask, trust, logits = (
        torch.cat([getattr(output, name) for output in outputs])
        for name in ("modality_mask", "trust", "logits")
    )
    # An actor may lack an emotion: such a turn has other modalities.
    asked = torch.tensor([float(name in kept) for name in MODALITIES])
    whole = (mask == asked).all(dim=1)
    if not whole.any():  # as of a few clips; the set stays neutral
        return
    _fit(model, mask[whole], trust[whole], logits[whole], emotion[whole], target=emotion[whole])


def _fit(
    model: Dcet, mask: Tensor, trust: Tensor, logits: Tensor, emotion: Tensor, *, target: Tensor
) -> None:
    """Fit the set of modalities of turns, all of one mask (n, 3), of which logits (n, 7) were made:
    the logits to `target`, labels (n,) or distributions (n, 7), then the confidence to `emotion`.
    """
    heads, shared_scale = model.step.heads, float(model.step.heads.calibration_scale)
    bias = torch.zeros(logits.shape[1], requires_grad=True)
    log_scale = torch.zeros((), requires_grad=True)

    def calibrated() -> Tensor:
        return (logits + bias * shared_scale) * log_scale.exp()

    def loss() -> Tensor:
        stiff = STIFFNESS * (bias.square().sum() + log_scale.square())
        return cross_entropy(calibrated(), target) + stiff

    minimise(loss, [bias, log_scale])
    place = int(modality_sets(mask[0]).argmax())
    heads.set_bias[place] = bias.detach()
    heads.set_scale[place] = log_scale.detach().exp()
    probabilities = calibrated().detach().softmax(dim=-1)
    fit_confidence(model.step.confidence, probabilities, emotion, mask, trust)
