"""What was said, until the turn is answered in which it was said."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from dcet.live.counters import Counters

NEAR_US = 300_000  # by which a recogniser's times may be beside the turn
MOST = 256  # that wait for their turns


@dataclass(frozen=True, slots=True)
class Words:
    """What was said from one media time to another."""

    text: str
    start_us: int
    end_us: int
    speaker: str | None  # as the host named them
    is_final: bool

    def overlap_us(self, start_us: int, end_us: int) -> int:
        """Return how long these words and a span of time are at once; 0, not at all."""
        first = max(self.start_us - NEAR_US, start_us)
        return max(0, min(self.end_us + NEAR_US, end_us) - first)


class Texts:
    """Holds words until their turn takes them. Words that are not final make room for the next."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._waiting: deque[Words] = deque()
        self.expected = False  # some came before

    def add(self, words: Words) -> None:
        """Keep words, in the place of earlier ones at that time that are not final."""
        self.expected = True
        for other in list(self._waiting):
            is_replaced = not other.is_final and other.speaker == words.speaker
            if is_replaced and other.overlap_us(words.start_us, words.end_us):
                self._drop(other, "later words took its place")
        if len(self._waiting) == MOST:
            self._drop(self._waiting[0], "too many wait for a turn")
        self._waiting.append(words)

    def of(self, start_us: int, end_us: int) -> list[Words]:
        """Return the words of this time, in order; they go on waiting."""
        within = [words for words in self._waiting if words.overlap_us(start_us, end_us)]
        return sorted(within, key=lambda words: (words.start_us, words.end_us))

    def take(self, start_us: int, end_us: int) -> list[Words]:
        """Return the words of this time, in order; they wait no longer."""
        taken = self.of(start_us, end_us)
        for words in taken:
            self._waiting.remove(words)
        return taken

    def unheard(self, before_us: int | None) -> list[Words]:
        """Take the final words that ended before this time; None, all."""
        taken = [each for each in self._waiting if each.is_final and _is_over(each, before_us)]
        for words in taken:
            self._waiting.remove(words)
        return taken

    def drop_interim(self, before_us: int | None) -> None:
        """Drop the words that are not final and ended before this time; None, all."""
        for words in list(self._waiting):
            if not words.is_final and _is_over(words, before_us):
                self._drop(words, "no final words came in its place")

    def forget(self, speaker: str | None = None) -> None:
        """Drop what waits of this speaker, or of all."""
        for words in list(self._waiting):
            if speaker is None or words.speaker == speaker:
                self._drop(words, "forgotten")

    def _drop(self, words: Words, why: str) -> None:
        self._waiting.remove(words)
        self._counters.settle("texts", "dropped", why=why)


def join(words: Sequence[Words]) -> str | None:
    """Return the text of words in order; None where there is none."""
    return " ".join(each.text.strip() for each in words if each.text.strip()) or None


def _is_over(words: Words, before_us: int | None) -> bool:
    return before_us is None or words.end_us < before_us


def text_size(text: str | None) -> int:
    """Return how large a text is for an encoder, in steps of 32 characters; 0 for none."""
    return 0 if text is None else len(text) // 32 + 1
