"""The loss that training minimises."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import Batch, collate, examples
from dcet.training.dialogue.forward import Outputs
from dcet.training.dialogue.objective import Objective, supervised_contrast
from tests.tiny_training import wordpiece


@pytest.fixture
def batch(meld: Path) -> Batch:
    return collate(examples(Corpus.of_meld(meld, "dev"), wordpiece()))


def objective(**changes: Any) -> Objective:
    torch.manual_seed(0)
    weights = {"smoothing": 0.1, "soft_share": 0.5, "contrast": 0.1, "alone": 0.5}
    return Objective(8, **(weights | changes))


def outputs(batch: Batch, *, sure: float = 0.0) -> Outputs:
    """Logits that are `sure` of the label; the rest is nought."""
    count = len(batch.emotion)
    logits = sure * torch.nn.functional.one_hot(batch.emotion, 7).float()
    nothing = torch.zeros(count)
    return Outputs(
        utterances=torch.zeros(count, 8),
        weights=torch.ones(count, 3),
        modality_mask=torch.ones(count, 3),
        trust=torch.ones(count, 3),
        logits=logits,
        sentiment=batch.sentiment,
        confidence=nothing,
        shift=nothing,
    )


def test_targets_are_distributions(batch: Batch) -> None:
    opinions = torch.rand(len(batch.emotion), 7).softmax(dim=-1)
    opinions[::2] = 0
    targets = objective().targets(replace(batch, soft=opinions))
    assert torch.allclose(targets.sum(dim=-1), torch.ones(len(targets)))
    assert (targets > 0).all()


def test_labels_are_smoothed(batch: Batch) -> None:
    targets = objective(smoothing=0.14).targets(batch)
    rows = torch.arange(len(targets))
    assert torch.allclose(targets[rows, batch.emotion], torch.tensor(0.88))
    assert torch.allclose(targets.sort(dim=-1).values[:, :-1], torch.tensor(0.02))


def test_opinions_are_mixed_in_only_where_given(batch: Batch) -> None:
    opinions = torch.zeros(len(batch.emotion), 7)
    opinions[1] = torch.tensor([0.3, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1])
    hard = objective().targets(batch)
    targets = objective(soft_share=0.4).targets(replace(batch, soft=opinions))
    assert torch.allclose(targets[1], 0.6 * hard[1] + 0.4 * opinions[1])
    others = torch.arange(len(hard)) != 1
    assert torch.equal(targets[others], hard[others])


def test_the_loss_is_lower_for_what_is_right(batch: Batch) -> None:
    right, wrong = (objective()(outputs(batch, sure=sure), batch) for sure in (3.0, -3.0))
    assert right < wrong


def test_clusters_by_label_have_less_contrast_loss() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    centres = torch.eye(3)[labels]
    noise = 0.1 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    clustered = supervised_contrast(centres + noise, labels)
    assert clustered < supervised_contrast(centres + noise, labels.roll(1))
    assert clustered < supervised_contrast(torch.ones(6, 3) + noise, labels)


def test_contrast_does_not_see_length() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    points = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    longer = points * torch.tensor([[1.0], [5.0], [0.2], [3.0]])
    assert torch.allclose(supervised_contrast(points, labels), supervised_contrast(longer, labels))


def test_contrast_without_a_pair_is_nought_and_can_be_differentiated() -> None:
    points = torch.randn(3, 4, requires_grad=True)
    loss = supervised_contrast(points, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0
    assert points.grad is not None
    assert not points.grad.any()


def test_a_habit_is_part_of_the_loss_and_only_the_first_corpus_has_sentiment(batch: Batch) -> None:
    habits = torch.zeros(2, 7)
    habits[1, 3] = 2.0
    learner = objective(habits=habits, contrast=0.0, alone=0.0)
    wrong = replace(outputs(batch, sure=1.0), sentiment=batch.sentiment + 1)
    other = replace(batch, source=torch.ones_like(batch.emotion))
    shifted = replace(wrong, logits=wrong.logits + habits[1], sentiment=batch.sentiment)
    assert torch.allclose(learner(wrong, other), learner(shifted, batch))
    assert "habits" not in learner.state_dict()  # runs begun before can be resumed
