"""What a speech recogniser makes of a sentence."""

from collections.abc import Sequence
from random import Random


def misheard(text: str, rate: float, words: Sequence[str], random: Random) -> str:
    """`text` with a word error rate of about `rate`.

    Half of the errors put another of `words` in a word's place, the rest leave a word out or put
    one in. At least one word stays, and where errors were asked for, punctuation goes.
    """
    if rate == 0:
        return text
    heard = []
    for word in text.split():
        word = word.strip('.,!?;:"-')
        if random.random() >= rate:
            heard.append(word)
            continue
        kind = random.random()
        if kind < 0.5:
            heard.append(random.choice(words))
        elif kind < 0.75:
            heard += [word, random.choice(words)]
    return " ".join(filter(None, heard)) or text
