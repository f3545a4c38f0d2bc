"""What the step says about its own estimate: how sure it is, and whether the emotion has changed.

Both are logistic functions of a few measures of the probabilities, fitted after training by
`dcet.training.dialogue.fit_judgements`. They are buffers: no loss moves them. As they know nothing
of features, they are the same functions whatever a probability was made of.
"""

import torch
from torch import Tensor, nn

from dcet.runtime.labels import MODALITIES

SETS = 2 ** len(MODALITIES)
LEAST = 1e-3  # of a probability or a quality whose logarithm is taken


class Confidence(nn.Module):
    """The probability that the most probable emotion is right: a function for each set of
    modalities, of which some are surer of themselves than they should be.

    Before it is fitted, it is that emotion's own probability.
    """

    MEASURES = 1 + len(MODALITIES)

    weight: Tensor  # (SETS, MEASURES)
    bias: Tensor  # (SETS,)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(self.MEASURES)[:1].repeat(SETS, 1))
        self.register_buffer("bias", torch.zeros(SETS))

    @staticmethod
    def measures(probabilities: Tensor, modality_mask: Tensor, trust: Tensor) -> Tensor:
        """Return (…, MEASURES): log-odds of the most probable emotion, and of each modality that is
        there the logarithm of `trust`.

        probabilities: (…, 7), of modalities with modality_mask (…, 3), 1 where present
        trust: (…, 3) in [0, 1], of what each modality was measured to be worth
        """
        most = probabilities.amax(dim=-1, keepdim=True).clamp(LEAST, 1 - LEAST)
        worth = modality_mask * trust.clamp(LEAST, 1.0).log()
        return torch.cat([most.log() - (1 - most).log(), worth], dim=-1)

    def forward(self, probabilities: Tensor, modality_mask: Tensor, trust: Tensor) -> Tensor:
        """Return the confidence (…, 1); the arguments are those of `measures`."""
        # Products and sums: a matrix product would be taken for a layer, and quantised.
        chosen = modality_sets(modality_mask)
        weight = (chosen[..., None] * self.weight).sum(dim=-2)
        bias = (chosen * self.bias).sum(dim=-1, keepdim=True)
        measures = self.measures(probabilities, modality_mask, trust)
        return torch.sigmoid((measures * weight).sum(dim=-1, keepdim=True) + bias)


class Shift(nn.Module):
    """The probability that a speaker's emotion differs from that of their previous turn.

    Before it is fitted, chances are even where half of the probability has moved.
    """

    weight: Tensor  # (1,)
    bias: Tensor  # (1,)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor([4.0]))
        self.register_buffer("bias", torch.tensor([-2.0]))

    @staticmethod
    def measures(probabilities: Tensor, before: Tensor) -> Tensor:
        """Return (…, 1): how much of the probability moved from emotion to emotion, from 0 to 1,
        the total variation distance of the two estimates (…, 7)."""
        return (probabilities - before).abs().sum(dim=-1, keepdim=True) / 2

    def forward(self, probabilities: Tensor, before: Tensor) -> Tensor:
        """Return the probability (…, 1) of a shift between two estimates (…, 7) of a speaker.

        It is without meaning where `before` is zeros, on a speaker's first turn.
        """
        return torch.sigmoid(self.measures(probabilities, before) * self.weight + self.bias)


def modality_sets(modality_mask: Tensor) -> Tensor:
    """Return (…, SETS), 1 at the set of modalities that a modality_mask (…, 3) says are there."""
    chosen = torch.ones_like(modality_mask[..., :1])
    for place in range(len(MODALITIES)):
        is_there = modality_mask[..., place : place + 1]
        chosen = torch.cat([chosen * (1 - is_there), chosen * is_there], dim=-1)
    return chosen
