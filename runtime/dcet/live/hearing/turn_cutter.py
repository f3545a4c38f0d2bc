"""Cuts a stream into turns, hop by hop, by how probable a voice is in each.

quiet ──voice──▶ speaking ──no voice──▶ paused ──hangover──▶ quiet: the turn ended
                 ▲ │  ▲                    │
                 └─┘  └────voice again─────┘
   longest turn: split at its quietest hop
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from dcet.runtime.senses.speech import MARGIN_MS

# Shares of the bundle's threshold, found on AMI's meetings: with them 11.7 % of the time is judged
# wrong, 4 % of the speech more is missed where a turn begins at the whole threshold.
BEGIN = 0.5
EDGE = 0.25
EDGE_MS = 96  # before and after what was heard, in which a voice still sounds
HANGOVER_MS = 288  # without a voice, after which a turn has ended
LONGEST_MS = 15_000
SPLIT_MS = 3_000  # at the end of a turn that is too long, in which its quietest hop is looked for


class Step(Enum):
    """What a hop did to the turn."""

    NOTHING = auto()  # there is none
    BEGAN = auto()  # enough of a voice was heard
    GOES_ON = auto()  # with a voice, or too short a pause
    PAUSED = auto()  # the voice is silent for as long as an encoder is to hear of it
    ENDED = auto()
    SPLIT = auto()  # as ENDED, and what follows belongs to the next turn


@dataclass(frozen=True, slots=True)
class Span:
    """The hops of a turn, counted from the beginning of the stream; `end` is not in it."""

    first: int
    end: int


class TurnCutter:
    """Says for each hop what becomes of the turn.

    threshold: probability from which a hop is voiced
    least_ms: of voiced hops that make a turn; less is a noise
    """

    def __init__(
        self,
        hop_ms: float,
        threshold: float,
        least_ms: float,
        *,
        hangover_ms: float = HANGOVER_MS,
        longest_ms: float = LONGEST_MS,
    ) -> None:
        self._threshold = threshold
        self._least = max(1, -(-round(least_ms) // round(hop_ms)))
        self._hangover = max(2, round(hangover_ms / hop_ms))
        self.margin = min(round(MARGIN_MS / hop_ms), self._hangover - 1)  # an encoder hears, too
        self._longest = max(self._hangover, round(longest_ms / hop_ms))
        self._searched = min(round(SPLIT_MS / hop_ms), self._longest // 2)
        self._last: deque[tuple[float, float]] = deque(maxlen=self._searched)  # voice, power
        self.now = 0  # hops heard
        self.span: Span | None = None  # of the turn, or of what may become one
        self.began = False  # it is a turn
        self._edge: int | None = None  # since when every hop may be voiced
        self._voiced = 0  # hops of the turn
        self._is_held = False  # the host says when it ends

    @property
    def settled(self) -> int:
        """The hop up to which the turn cannot be split any more."""
        assert self.span is not None
        if self._is_held:
            return self.now
        return min(self.now, self.span.first + self._longest - self._searched)

    @property
    def safe(self) -> int:
        """How many hops it takes at least until the turn ends by itself."""
        silent = 0 if self.span is None else self.now - self.span.end
        return max(0, self._hangover - silent)

    def hop(self, voice: float, power: float) -> tuple[Step, Span | None]:
        """Hear a hop; return what it did, and the span of the turn that ended."""
        self._last.append((voice, power))
        here, self.now = self.now, self.now + 1
        if voice < EDGE * self._threshold:
            self._edge = None
        elif self._edge is None:
            self._edge = here
        if self._is_held and self.span is not None:
            self.span = Span(self.span.first, self.now)
            return Step.GOES_ON, None
        if self.span is None:
            if self._edge is None or voice < BEGIN * self._threshold:
                return Step.NOTHING, None
            self.span = Span(max(self._edge, here - self._hangover), here)
            self._voiced = 0
        self._voiced += voice >= self._threshold
        if self._edge is not None:
            self.span = Span(self.span.first, self.now)
        return self._judge(self.now - self.span.end, self.now - self.span.first)

    def cut(self, at: int) -> tuple[Step, Span | None]:
        """Split the turn at an earlier hop, where somebody else took over."""
        whole = self.span
        if whole is None or self._is_held or not whole.first < at < whole.end:
            return Step.GOES_ON, None
        self.span = Span(at, whole.end)
        return Step.SPLIT, Span(whole.first, at)

    def hold(self, first: int) -> None:
        """Begin a turn that goes on, however long or silent, until `end`."""
        self.span, self.began, self._is_held = Span(first, self.now), True, True

    def end(self) -> tuple[Step, Span | None]:
        """End the turn here, if there is one."""
        span, began = self.span, self.began
        self.span, self.began, self._edge, self._is_held = None, False, None, False
        return (Step.ENDED, span) if began else (Step.NOTHING, None)

    def _judge(self, silent: int, length: int) -> tuple[Step, Span | None]:
        if silent >= self._hangover or (length >= self._longest and not self.began):
            return self.end()
        if not self.began:
            self.began = self._voiced >= self._least
            return (Step.BEGAN if self.began else Step.NOTHING), None
        if length >= self._longest:
            return self._split()
        return (Step.PAUSED if silent == self.margin else Step.GOES_ON), None

    def _split(self) -> tuple[Step, Span | None]:
        assert self.span is not None
        powers = [power for _, power in self._last]
        quietest = min(
            range(1, len(powers) - 1), key=lambda i: (sum(powers[i - 1 : i + 2]), powers[i])
        )
        at, whole = self.now - len(powers) + quietest, self.span
        self.span = Span(at, max(at + 1, whole.end))
        self._voiced = sum(voice >= self._threshold for voice, _ in list(self._last)[quietest:])
        self.began = self._voiced >= self._least
        return Step.SPLIT, Span(whole.first, min(at, whole.end))
