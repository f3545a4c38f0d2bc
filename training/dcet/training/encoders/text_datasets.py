"""Datasets of utterances: as written, and corrupted into endlessly many others."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dcet.data.tables import read_text
from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.senses.text import normalise_text
from dcet.training.augment.text_errors import misheard
from dcet.training.encoders.datasets import smoothed

WHOLE = 0.3  # share of the utterances that are left as they are

CERTAINTY = torch.tensor(0.9)  # of a label of MELD


class CorruptedTexts:
    """Utterances, labelled or not, most of them corrupted: more to ask a teacher about."""

    def __init__(self, texts: Sequence[str], emotion: Tensor | None = None) -> None:
        self.texts = texts
        self.emotion = emotion
        self.words = [word for text in texts for word in text.split()]

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: Tensor) -> tuple[list[str], Tensor | None]:
        """Return texts, and targets (N, 7): rows sum to 1, or to 0 where a label may not hold."""
        random = Random(int(torch.randint(2**31, ())))
        texts, untouched = [], []
        for row in rows.tolist():
            whole = random.random() < WHOLE
            texts.append(self.texts[row] if whole else self._corrupt(self.texts[row], random))
            untouched.append(whole)
        if self.emotion is None:
            return texts, None
        target = one_hot(self.emotion[rows], len(EMOTIONS)) * torch.tensor(untouched)[:, None]
        return texts, target.float()

    def _corrupt(self, text: str, random: Random) -> str:
        """Make another sentence, more or less like `text`."""
        words = text.split()
        if random.random() < 0.3:
            words = _stretch(words, random)
        if random.random() < 0.3:
            words += _stretch(random.choice(self.texts).split(), random)
        if random.random() < 0.3:
            words = _stutter(words, random)
        text = " ".join(words)
        if random.random() < 0.4:
            text = misheard(text, 0.3 * random.random(), self.words, random)
        if random.random() < 0.2:
            text = "".join(sign for sign in text.lower() if sign.isalnum() or sign in "' ")
        return normalise_text(text) or random.choice(self.words)


class PlainTexts:
    """Labelled utterances as written, but for a word in ten that is left out."""

    def __init__(self, texts: Sequence[str], emotion: Tensor) -> None:
        self.texts, self.emotion = texts, emotion

    def __len__(self) -> int:
        return len(self.texts)

    def batch(self, rows: Tensor) -> tuple[list[str], Tensor]:
        texts = []
        for row in rows.tolist():
            words = self.texts[row].split()
            kept = (torch.rand(len(words)) >= 0.1).tolist()
            some = " ".join(word for word, stays in zip(words, kept, strict=True) if stays)
            texts.append(some or self.texts[row])
        return texts, smoothed(self.emotion[rows], CERTAINTY)


def read_lines(file: Path) -> list[str]:
    """Read the utterances of a file with one per line. Raises DataError where there is none."""
    text = read_text(file, "a text file with an utterance per line")
    utterances = [line for line in map(normalise_text, text.split("\n")) if line]
    if not utterances:
        raise DataError(f"{file}: expected an utterance per line, got an empty file")
    return utterances


def _stretch(words: Sequence[str], random: Random) -> list[str]:
    """Draw a stretch of words, at least one."""
    start, end = sorted(random.sample(range(len(words) + 1), 2))
    return list(words[start:end])


def _stutter(words: Sequence[str], random: Random) -> list[str]:
    """Repeat a word in ten and leave out a word in ten; at least one stays."""
    said: list[str] = []
    for word in words:
        said += [word] * random.choices((0, 1, 2), (0.1, 0.8, 0.1))[0]
    return said or list(words)
