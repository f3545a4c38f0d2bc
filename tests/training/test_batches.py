"""Dialogues become tensors: padding, places, numbers of speakers, order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dcet.data.meld import Dialogue
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import (
    NONE,
    Example,
    collate,
    examples,
    in_order,
    mixed_batches,
)
from tests.tiny_training import Line, wordpiece, write_csv


@pytest.fixture(scope="module")
def corpus(meld: Path) -> Corpus:
    return Corpus.of_meld(meld, "train")


@pytest.fixture(scope="module")
def items(corpus: Corpus) -> list[Example]:
    return examples(corpus, wordpiece())


def test_an_example_holds_its_dialogue(tmp_path: Path) -> None:
    said = [("Cleo", "joy"), ("Ada", "anger"), ("Cleo", "joy"), ("Ben", "fear"), ("Ada", "joy")]
    rows = [Line(f"i am {w}", w, feeling, 0, n) for n, (w, feeling) in enumerate(said)]
    (item,) = examples(Corpus.read(write_csv(tmp_path / "a.csv", rows)), wordpiece())
    assert item.speakers.tolist() == [1, 2, 1, 3, 2]  # in order of first speech
    assert item.emotion.tolist() == [3, 0, 3, 2, 3]
    assert item.sentiment.tolist() == [1, -1, 1, -1, 1]
    assert item.previous.tolist() == [NONE, NONE, 0, NONE, 1]
    assert item.tokens[0] == tuple(wordpiece().encode("i am Cleo").ids)


def test_names_never_matter(corpus: Corpus, items: list[Example]) -> None:
    names = {"Ada": "Zoë", "Ben": "Ada", "Cleo": "Ben"}
    renamed = [
        Dialogue(d.id, tuple(replace(turn, speaker=names[turn.speaker]) for turn in d.turns))
        for d in corpus.dialogues
    ]
    for one, other in zip(items, examples(corpus.only(renamed), wordpiece()), strict=True):
        assert one.tokens == other.tokens
        assert torch.equal(one.speakers, other.speakers)
        assert torch.equal(one.previous, other.previous)


def test_a_turn_gets_the_opinions_on_its_own_row(corpus: Corpus) -> None:
    told_apart = np.arange(corpus.soft.size, dtype=np.float32).reshape(corpus.soft.shape)
    chosen = [corpus.dialogues[i] for i in (7, 2)]
    items = examples(replace(corpus, dialogues=chosen, soft=told_apart), wordpiece())
    for item, dialogue in zip(items, chosen, strict=True):
        assert (item.soft.numpy() == told_apart[[turn.row for turn in dialogue.turns]]).all()


def test_a_batch_finds_every_turn_in_its_place(items: list[Example]) -> None:
    chosen = items[:5]
    batch = collate(chosen)
    lengths = [len(item.tokens) for item in chosen]
    assert batch.valid.shape == (5, max(lengths))
    assert batch.valid.sum(dim=1).tolist() == lengths
    assert len(batch.tokens) == len(batch.emotion) == sum(lengths)
    assert (batch.speakers >= 1).all()  # where padded, too: it is an index
    for row, item in enumerate(chosen):
        places = batch.place[row, : lengths[row]].tolist()
        assert tuple(batch.tokens[place] for place in places) == item.tokens
        assert torch.equal(batch.emotion[places], item.emotion)
        assert torch.equal(batch.speakers[row, : lengths[row]], item.speakers)
        for turn, previous in zip(places, item.previous.tolist(), strict=True):
            assert batch.previous[turn] == (NONE if previous == NONE else places[previous])


def order(items: list[Example], size: int, seed: int) -> list[list[int]]:
    """The dialogues of every batch, told apart by what is said in them."""
    known = {item.tokens: number for number, item in enumerate(items)}
    assert len(known) == len(items)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for batch in mixed_batches(items, size, 1.0, generator):
        ends = batch.valid.sum(dim=1).cumsum(dim=0).tolist()
        starts = [0, *ends[:-1]]
        found.append([known[tuple(batch.tokens[a:b])] for a, b in zip(starts, ends, strict=True)])
    return found


@pytest.mark.parametrize("size", [1, 5, 100])
def test_shuffled_batches_hold_every_dialogue_once(items: list[Example], size: int) -> None:
    batches = order(items, size, seed=3)
    assert sorted(number for batch in batches for number in batch) == list(range(len(items)))
    assert max(map(len, batches)) <= size


def test_the_order_is_the_seeds(items: list[Example]) -> None:
    assert order(items, 5, seed=3) == order(items, 5, seed=3)
    assert order(items, 5, seed=3) != order(items, 5, seed=4)


def test_batches_in_order_keep_the_order(items: list[Example]) -> None:
    tokens = [ids for batch in in_order(items, 7) for ids in batch.tokens]
    assert tokens == [ids for item in items for ids in item.tokens]
