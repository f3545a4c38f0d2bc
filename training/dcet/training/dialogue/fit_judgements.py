"""Fits what the step says about its own estimates to turns whose emotion is known.

Logistic regression after training, on turns that no weight was trained on (Platt, 1999). A normal
prior around the neutral function, which an unfitted one is, keeps few turns from changing it much.
"""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dcet.training.dialogue.minimise import minimise
from dcet.training.network.judgements import SETS, Confidence, Shift, modality_sets

PULL = 1.0  # precision of the prior of each weight


def fit_confidence(
    confidence: Confidence,
    probabilities: Tensor,
    emotion: Tensor,
    modality_mask: Tensor,
    trust: Tensor,
) -> None:
    """Fit `confidence`, in place, to estimates (n, 7) of turns of which `emotion` (n,) is true.

    modality_mask, trust: (n, 3), as `Confidence.measures` takes them

    The function of a set of modalities that none of these turns has stays as it is.
    """
    sets = modality_sets(modality_mask).argmax(dim=-1)
    measures = confidence.measures(probabilities, modality_mask, trust)
    correct = probabilities.argmax(dim=-1) == emotion
    neutral = Confidence()
    for place in range(SETS):
        mine = sets == place
        if mine.any():
            confidence.weight[place], confidence.bias[place : place + 1] = _fitted(
                measures[mine],
                correct[mine],
                neutral.weight[place],
                neutral.bias[place : place + 1],
            )


def fit_shift(shift: Shift, probabilities: Tensor, before: Tensor, shifted: Tensor) -> None:
    """Fit `shift`, in place, to estimates (n, 7) and those of the speakers' turns `before`.

    shifted: (n,) true where the emotion is not the one before
    """
    neutral = Shift()
    measures = shift.measures(probabilities, before)
    weight, bias = _fitted(measures, shifted, neutral.weight, neutral.bias)
    shift.weight.copy_(weight)
    shift.bias.copy_(bias)


def _fitted(
    measures: Tensor, target: Tensor, weight_before: Tensor, bias_before: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the likeliest weight (m,) and bias (1,) for measures (n, m) and target (n,).

    The prior is around weight and bias as given.
    """
    weight, bias = (part.clone().requires_grad_() for part in (weight_before, bias_before))

    def loss() -> Tensor:
        away = (weight - weight_before).square().sum() + (bias - bias_before).square().sum()
        unlikely = binary_cross_entropy_with_logits(
            measures @ weight + bias, target.float(), reduction="sum"
        )
        return unlikely + PULL / 2 * away

    minimise(loss, [weight, bias])
    return weight.detach(), bias.detach()
