"""Dialogues as tensors, for training and evaluation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dcet.training.corpora.corpus import Corpus

NONE = -1  # place of the previous turn of a speaker who had none


@dataclass(frozen=True, slots=True)
class Example:
    """One dialogue of T turns, tokenised and labelled."""

    tokens: tuple[tuple[int, ...], ...]
    speakers: Tensor  # (T,) numbers from 1 in order of first speech: a slot, never a name
    emotion: Tensor  # (T,)
    sentiment: Tensor  # (T,)
    previous: Tensor  # (T,) place of the speaker's previous turn, or NONE
    soft: Tensor  # (T, 7)
    texts: tuple[str, ...] = ()  # T, where they are known
    source: int = 0  # of its corpus, where several are trained on


@dataclass(frozen=True, slots=True)
class Batch:
    """B dialogues padded to T turns. Flat tensors hold just the N real ones."""

    tokens: list[tuple[int, ...]]  # N utterances
    place: Tensor  # (B, T) index into the N utterances, 0 where padded
    valid: Tensor  # (B, T) bool, the real turns
    speakers: Tensor  # (B, T)
    emotion: Tensor  # (N,)
    sentiment: Tensor  # (N,)
    previous: Tensor  # (N,) place of the speaker's previous turn in the N, or NONE
    soft: Tensor  # (N, 7)
    texts: list[str]  # N, or none
    source: Tensor  # (N,)


def examples(corpus: Corpus, tokenizer: Tokenizer) -> list[Example]:
    """Tokenise and number a corpus."""
    made = []
    for dialogue in corpus.dialogues:
        turns = dialogue.turns
        rows = [turn.row for turn in turns]
        numbers: dict[str, int] = {}
        last: dict[str, int] = {}
        previous = []
        for place, turn in enumerate(turns):
            previous.append(last.get(turn.speaker, NONE))
            last[turn.speaker] = place
        encodings = tokenizer.encode_batch([turn.text for turn in turns])
        made.append(
            Example(
                tokens=tuple(tuple(encoding.ids) for encoding in encodings),
                speakers=torch.tensor(
                    [numbers.setdefault(turn.speaker, len(numbers) + 1) for turn in turns]
                ),
                emotion=torch.tensor([turn.emotion for turn in turns]),
                sentiment=torch.tensor([float(turn.sentiment) for turn in turns]),
                previous=torch.tensor(previous),
                soft=torch.from_numpy(corpus.soft[rows]),
                texts=tuple(turn.text for turn in turns),
                source=corpus.source,
            )
        )
    return made


def collate(items: Sequence[Example]) -> Batch:
    """Pad dialogues to the longest of them."""
    lengths = torch.tensor([len(item.tokens) for item in items])
    valid = torch.arange(int(lengths.max())) < lengths[:, None]
    place = torch.zeros(valid.shape, dtype=torch.long)
    place[valid] = torch.arange(int(lengths.sum()))
    speakers = torch.ones(valid.shape, dtype=torch.long)
    speakers[valid] = torch.cat([item.speakers for item in items])
    starts = (lengths.cumsum(0) - lengths).tolist()
    return Batch(
        tokens=[ids for item in items for ids in item.tokens],
        place=place,
        valid=valid,
        speakers=speakers,
        previous=torch.cat(
            [
                torch.where(item.previous == NONE, NONE, item.previous + start)
                for item, start in zip(items, starts, strict=True)
            ]
        ),
        **{
            name: torch.cat([getattr(item, name) for item in items])
            for name in ("emotion", "sentiment", "soft")
        },
        texts=[text for item in items for text in item.texts],
        source=torch.tensor([item.source for item in items]).repeat_interleave(lengths),
    )


def shuffled_chunks(
    items: Sequence[Example], size: int, generator: torch.Generator
) -> Iterator[list[int]]:
    """Yield the places in `items` of `size` dialogues of similar length, in random order."""
    noise = torch.rand(len(items), generator=generator)
    order = sorted(range(len(items)), key=lambda i: len(items[i].tokens) + 2 * float(noise[i]))
    chunks = [order[start : start + size] for start in range(0, len(order), size)]
    for chunk in torch.randperm(len(chunks), generator=generator).tolist():
        yield chunks[chunk]


def mixed_batches(
    items: Sequence[Example], size: int, share: float, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield batches of one source each, in random order, of about as many turns.

    size: dialogues of a batch of source 0, all of which are used
    share: of the batches of each other source that are used, drawn anew each time
    """
    chunks = []
    for places, dialogues in _by_source(items, size):
        some = list(shuffled_chunks([items[i] for i in places], dialogues, generator))
        used = len(some) if items[places[0]].source == 0 else math.ceil(share * len(some))
        chunks += [[places[i] for i in chunk] for chunk in some[:used]]
    for chosen in torch.randperm(len(chunks), generator=generator).tolist():
        yield collate([items[i] for i in chunks[chosen]])


def count_mixed_batches(items: Sequence[Example], size: int, share: float) -> int:
    """Return how many batches `mixed_batches` yields."""
    first, *others = (
        math.ceil(len(places) / dialogues) for places, dialogues in _by_source(items, size)
    )
    return first + sum(math.ceil(share * count) for count in others)


def _by_source(items: Sequence[Example], size: int) -> list[tuple[list[int], int]]:
    """Return for each source the places of its dialogues, and how many of them make a batch."""
    places: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(item.source, []).append(place)
    of_sources = [places[source] for source in sorted(places)]
    turns = [sum(len(items[i].tokens) for i in each) / len(each) for each in of_sources]
    return [
        (each, max(1, round(size * turns[0] / mean)))
        for each, mean in zip(of_sources, turns, strict=True)
    ]


def in_order(items: Sequence[Example], size: int) -> Iterator[Batch]:
    """Yield batches in the order given."""
    for start in range(0, len(items), size):
        yield collate(items[start : start + size])
