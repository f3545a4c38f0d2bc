"""Texts of measured turns: everyday sentences of our own, from one word to a paragraph."""

from importlib.resources import files
from itertools import cycle
from typing import Protocol

TEXTS = tuple(
    files("dcet.benchmarks").joinpath("texts.txt").read_text(encoding="utf-8").splitlines()
)


class Encoding(Protocol):
    @property
    def attention_mask(self) -> list[int]: ...


class Tokenizer(Protocol):
    """The part of `tokenizers.Tokenizer` that counts."""

    def encode(self, sequence: str) -> Encoding: ...


def count_tokens(tokenizer: Tokenizer, text: str) -> int:
    """Count the tokens that the encoder sees, with the special ones and without padding."""
    return sum(tokenizer.encode(text).attention_mask)


def text_of_tokens(tokenizer: Tokenizer, tokens: int) -> str:
    """Make a text of exactly `tokens` tokens, or of the most below that its words allow."""
    words = [word for text in TEXTS for word in text.split()]
    text = ""
    for _, word in zip(range(4 * len(words)), cycle(words), strict=False):
        longer = f"{text} {word}".strip()
        length = count_tokens(tokenizer, longer)
        if length <= tokens:
            text = longer
        if length == tokens:
            break
    return text
