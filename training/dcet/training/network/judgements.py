"""What the step says about its own estimate: how sure it is, and whether the emotion has changed.

Both are logistic functions of a few measures of the probabilities, fitted after training by
`dcet.training.dialogue.calibration`. They are buffers: no loss moves them. As they know nothing of
features, they hold for text, audio and faces alike.
"""

import torch
from torch import Tensor, nn

from dcet.runtime.labels import MODALITIES

LEAST = 1e-3  # of a probability or a quality whose logarithm is taken


class Confidence(nn.Module):
    """The probability that the most probable emotion is right.

    Before it is fitted, it is that emotion's own probability.
    """

    MEASURES = 2 + 2 * len(MODALITIES)

    weight: Tensor  # (MEASURES,)
    bias: Tensor  # ()

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(self.MEASURES)[0])
        self.register_buffer("bias", torch.zeros(()))

    @staticmethod
    def measures(probabilities: Tensor, modality_mask: Tensor, trust: Tensor) -> Tensor:
        """Return (…, MEASURES): log-odds of the most probable emotion, entropy in nats, which
        modalities there are, and of these the logarithm of `trust`.

        probabilities: (…, 7), of modalities with modality_mask (…, 3), 1 where present
        trust: (…, 3) in [0, 1], of what each modality was measured to be worth
        """
        most = probabilities.amax(dim=-1, keepdim=True)
        return torch.cat(
            [
                log_odds(most),
                entropy(probabilities),
                modality_mask,
                modality_mask * trust.clamp(LEAST, 1.0).log(),
            ],
            dim=-1,
        )

    def forward(self, probabilities: Tensor, modality_mask: Tensor, trust: Tensor) -> Tensor:
        """Return the confidence (…, 1); the arguments are those of `measures`."""
        measures = self.measures(probabilities, modality_mask, trust)
        return logistic(measures, self.weight, self.bias)


class Shift(nn.Module):
    """The probability that a speaker's emotion differs from that of their previous turn.

    Before it is fitted, it is the probability that draws from the two estimates differ.
    """

    MEASURES = 1

    weight: Tensor  # (MEASURES,)
    bias: Tensor  # ()

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(self.MEASURES)[0])
        self.register_buffer("bias", torch.zeros(()))

    @staticmethod
    def measures(probabilities: Tensor, before: Tensor) -> Tensor:
        """Return (…, MEASURES): log-odds that draws from the two estimates (…, 7) differ."""
        return -log_odds((probabilities * before).sum(dim=-1, keepdim=True))

    def forward(self, probabilities: Tensor, before: Tensor) -> Tensor:
        """Return the probability (…, 1) of a shift between two estimates (…, 7) of a speaker.

        It is without meaning where `before` is zeros, on a speaker's first turn.
        """
        return logistic(self.measures(probabilities, before), self.weight, self.bias)


def logistic(measures: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the logistic function (…, 1) of measures (…, n), with weight (n,) and bias ()."""
    return torch.sigmoid((measures * weight).sum(dim=-1, keepdim=True) + bias)


def log_odds(probability: Tensor) -> Tensor:
    """Return the logarithm of p / (1 - p), finite at 0 and 1."""
    p = probability.clamp(LEAST, 1 - LEAST)
    return p.log() - (1 - p).log()


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy (…, 1) of distributions (…, 7), in nats."""
    logs = probabilities.clamp_min(LEAST).log()
    return -(probabilities * logs).sum(dim=-1, keepdim=True)
