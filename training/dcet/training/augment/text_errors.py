"""Errors of a speech recogniser."""

from collections.abc import Sequence
from random import Random


def misheard(text: str, rate: float, words: Sequence[str], random: Random) -> str:
    """Give `text` a word error rate of about `rate`.

    Half of the errors put another of `words` in a word's place, the rest leave a word out or put
    one in. At least one word stays, and unless `rate` is 0, punctuation goes.
    """
    if rate == 0:
        return text
    made = []
    for word in text.split():
        word = word.strip('.,!?;:"-')
        if random.random() >= rate:
            made.append(word)
            continue
        kind = random.random()
        if kind < 0.5:
            made.append(random.choice(words))
        elif kind < 0.75:
            made += [word, random.choice(words)]
    return " ".join(filter(None, made)) or text
