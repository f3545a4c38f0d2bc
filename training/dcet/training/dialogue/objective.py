"""The loss that training on dialogues minimises."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, one_hot

from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.classes import label_shares
from dcet.training.dialogue.batches import Batch
from dcet.training.dialogue.forward import Outputs


class Objective(nn.Module):
    """The sum of the heads' losses.

    `alone` classifies the utterance before the memory, so that the encoder is asked directly too
    (deep supervision); it is not part of the model. Labels are smoothed, and where `batch.soft`
    holds out-of-fold predictions, mixed with them: annotators of
    MELD agree only fairly (its paper reports a Fleiss' kappa of 0.43).

    Corpora have label habits of their own. Where several are trained on, the logits of each are
    shifted by how often it names each emotion against how often the first does (logit adjustment,
    Menon et al., ICLR 2021); the shift is part of the loss alone. Sentiment is labelled in the
    first alone.
    """

    habits: Tensor  # (sources, 7)

    def __init__(
        self,
        width: int,
        *,
        smoothing: float,
        soft_share: float,
        contrast: float,
        alone: float,
        habits: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.alone = nn.Linear(width, len(EMOTIONS))
        self.smoothing, self.soft_share = smoothing, soft_share
        self.contrast_weight, self.alone_weight = contrast, alone
        self.register_buffer(
            "habits", torch.zeros(1, len(EMOTIONS)) if habits is None else habits, persistent=False
        )

    def forward(self, outputs: Outputs, batch: Batch) -> Tensor:
        target, habit = self.targets(batch), self.habits[batch.source]
        loss = cross_entropy(outputs.logits + habit, target)
        alone = self.alone(outputs.utterances) + habit
        loss = loss + self.alone_weight * cross_entropy(alone, target)
        apart = (outputs.sentiment - batch.sentiment).square() * (batch.source == 0)
        loss = loss + 0.5 * apart.mean()
        if self.contrast_weight:
            loss = loss + self.contrast_weight * supervised_contrast(
                outputs.utterances, batch.emotion
            )
        return loss

    def targets(self, batch: Batch) -> Tensor:
        """Return the target distributions (N, 7) of a batch."""
        hard = one_hot(batch.emotion, len(EMOTIONS)).float()
        hard = (1 - self.smoothing) * hard + self.smoothing / len(EMOTIONS)
        share = self.soft_share * (batch.soft.sum(dim=-1, keepdim=True) > 0)
        return (1 - share) * hard + share * batch.soft


def supervised_contrast(embeddings: Tensor, labels: Tensor, temperature: float = 0.2) -> Tensor:
    """Return the supervised contrastive loss (Khosla et al., NeurIPS 2020) of (N, d) embeddings."""
    normed = nn.functional.normalize(embeddings, dim=-1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = (normed @ normed.T / temperature).masked_fill(itself, -1e4)
    positive = (labels[:, None] == labels) & ~itself
    pairs = positive.sum(dim=-1)
    pulled = (log_softmax(logits, dim=-1) * positive).sum(dim=-1)[pairs > 0] / pairs[pairs > 0]
    return -pulled.mean() if len(pulled) else embeddings.sum() * 0


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return how far two answers (N, 7), as logits, are apart: the mean of KL(p|q) and KL(q|p), as
    R-Drop has it (Liang et al., NeurIPS 2021).
    """
    # What normalises the two distributions cancels.
    apart = (first.softmax(dim=-1) - second.softmax(dim=-1)) * (first - second)
    return apart.sum(dim=-1).mean() / 2


def label_habits(emotions: Sequence[Tensor]) -> Tensor:
    """Return the `habits` of an Objective from the labels (n,) of each corpus: (sources, 7)."""
    logs = torch.stack([label_shares(labels) for labels in emotions]).clamp_min(1e-3).log()
    return logs - logs[0]
