"""Familiarity: near what was learned it is 1, and it falls with the distance."""

import copy

import torch

from dcet.training.network.familiarity import Familiarity

WIDTH = 48


def known(count: int, seed: int) -> torch.Tensor:
    """Draw features that vary in a few directions, and hardly in all others."""
    torch.manual_seed(0)
    basis = torch.randn(5, WIDTH)
    torch.manual_seed(seed)
    return 3 + torch.randn(count, 5) @ basis + 0.1 * torch.randn(count, WIDTH)


def fitted() -> Familiarity:
    familiarity = Familiarity(WIDTH)
    familiarity.fit(known(2000, 1), known(500, 2))
    return familiarity


def test_nineteen_of_twenty_known_examples_are_as_familiar_as_can_be() -> None:
    found = fitted()(known(1000, 3)[:, None], torch.ones(1000, 1))
    assert found.shape == (1000, 1)
    assert 0.92 < float((found > 0.999).float().mean()) < 0.98
    assert found.max() <= 1


def test_what_leaves_the_known_directions_is_strange() -> None:
    familiarity = fitted()
    features = known(200, 4)
    aside = torch.zeros(WIDTH)
    aside[0] = 3.0  # no farther than known examples lie from each other
    strange = familiarity((features + aside)[:, None], torch.ones(200, 1))
    farther = familiarity((features + 3 * aside)[:, None], torch.ones(200, 1))
    assert strange.max() < 0.5
    assert (farther < strange).all()


def test_items_that_are_not_there_do_not_count() -> None:
    familiarity = fitted()
    features = torch.stack([known(6, 5), 100 * torch.ones(6, WIDTH)], dim=1)
    first = familiarity(features, torch.tensor([[1.0, 0.0]]).expand(6, 2))
    assert torch.allclose(first, familiarity(features[:, :1], torch.ones(6, 1)))
    assert torch.equal(familiarity(features, torch.zeros(6, 2)), torch.ones(6, 1))


def test_before_anything_was_learned_everything_is_familiar() -> None:
    found = Familiarity(WIDTH)(known(3, 6)[:, None] * 1000, torch.ones(3, 1))
    assert torch.equal(found, torch.ones(3, 1))


def test_what_is_short_but_points_the_same_way_is_as_familiar() -> None:
    familiarity, features = fitted(), known(50, 7)[:, None]
    mask = torch.ones(50, 1)
    assert torch.allclose(
        familiarity(features * 0.01, mask), familiarity(features, mask), atol=1e-3
    )


def test_features_that_hardly_vary() -> None:
    familiarity = Familiarity(16)
    features = torch.randn(300, 16, generator=torch.Generator().manual_seed(0)) * 1e-5 + 1
    familiarity.fit(features, features)
    found = familiarity(features[:, None], torch.ones(300, 1))
    assert torch.isfinite(found).all()
    assert float((found > 0.9).float().mean()) > 0.9


def test_eight_bits_keep_it() -> None:
    """Processors and devices compute it in bfloat16 and float16 where they can."""
    familiarity = fitted()
    features = known(300, 8) + torch.linspace(0, 2, 300)[:, None] * torch.eye(WIDTH)[0]
    whole = familiarity(features[:, None], torch.ones(300, 1))
    assert whole.min() < 0.3  # strange ones among them
    for kind, apart in ((torch.bfloat16, 0.08), (torch.float16, 0.01)):
        low = copy.deepcopy(familiarity).to(kind)
        found = low(features[:, None].to(kind), torch.ones(300, 1, dtype=kind)).float()
        assert (found - whole).abs().max() < apart


def test_it_is_the_same_when_it_was_stored_or_copied() -> None:
    stored, features = Familiarity(WIDTH), known(50, 9)[:, None]
    stored.load_state_dict(fitted().state_dict())
    mask = torch.ones(50, 1)
    for each in (stored, copy.deepcopy(stored)):
        assert torch.equal(each(features, mask), fitted()(features, mask))
