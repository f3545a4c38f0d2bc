"""Errors of a speech recogniser."""

from collections.abc import Iterable, Sequence
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


class Recogniser:
    """Writes text as a speech recogniser does: without punctuation, and with words taken for others
    that look alike, which stands for sounding alike."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.alike: dict[tuple[str, str, int], list[str]] = {}
        for word in sorted({word for text in texts for word in _words(text)}):
            self.alike.setdefault(_look(word), []).append(word)

    def write(self, text: str, random: Random) -> str:
        """Return `text` with a word error rate of up to 0.3; a quarter keeps its punctuation."""
        rate = 0.3 * random.random()
        made = []
        for word in text.lower().split() if random.random() < 0.25 else _words(text):
            error = random.random() / rate if rate else 1.0
            if error < 0.7:
                made.append(random.choice(self.alike.get(_look(word), [word])))
            elif error < 0.85:
                made += [word, random.choice(self.alike.get(_look(word), [word]))]
            elif error >= 1:
                made.append(word)
        return " ".join(made) or text


def _words(text: str) -> list[str]:
    """Split a text into words without case and punctuation; apostrophes stay."""
    return "".join(sign if sign.isalnum() or sign == "'" else " " for sign in text.lower()).split()


def _look(word: str) -> tuple[str, str, int]:
    return word[0], word[-1], (len(word) + 1) // 2
