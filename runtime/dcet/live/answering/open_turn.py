"""A turn while it is spoken: each window of its sound is encoded once, as soon as it is there."""

from dcet.live.answering.planner import Costs
from dcet.live.hearing.ear import Ear
from dcet.live.hearing.turn_cutter import Span
from dcet.live.people.people import Who
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.conversation import Conversation
from dcet.runtime.estimate import Estimate
from dcet.runtime.senses.encoded import Encoded
from dcet.runtime.senses.speech import MARGIN_MS


class OpenTurn:
    """The sound of one turn, encoded for the speaker who it is taken for so far.

    named: the speaker, where the host named them
    follows: it begins where another turn ended, whose sound is not to be heard in it
    begun_us: media time at which the host began it; None, where the voice did
    """

    def __init__(
        self,
        turn_id: int,
        ear: Ear,
        conversation: Conversation,
        costs: Costs,
        *,
        named: str | None = None,
        begun_us: int | None = None,
        follows: bool = False,
    ) -> None:
        assert ear.cutter.span is not None
        self.turn_id = turn_id
        self.ear = ear
        self.named = named
        self.begun_us = begun_us
        self.first = ear.cutter.span.first
        self.revision = 0
        self.interims = 0
        self.estimate: Estimate | None = None  # the last interim's
        self.paused: tuple[int, Who] | None = None  # who it was taken for when it ended there
        self._conversation = conversation
        self._costs = costs
        audio = conversation.bundle.manifest.modalities["audio"]
        self._window = audio.window_samples if audio.encoder is not None else None
        margin = 0 if follows or begun_us is not None else ear.cutter.margin
        self._begin = max(0, self.first - margin) * ear.hop_samples
        self._listened = self.first  # the hop to which its voice was compared with others
        self._speaker: str | None = None  # for whom it is encoded
        self._whole: Encoded | None = None  # all windows that are full
        self._done = self._begin  # the sample to which they reach
        self._settled = self._begin  # the sample up to which windows may be cut
        self._tail: tuple[int, Encoded] | None = None  # and up to this sample

    def times_us(self, span: Span | None = None) -> tuple[int, int]:
        """Return the media times of beginning and end, so far or of the span."""
        so_far = span or self.ear.cutter.span
        assert so_far is not None
        start_us, end_us = self.ear.spoken_us(so_far)
        return (start_us if self.begun_us is None else self.begun_us), end_us

    def end_sample(self, span: Span | None = None) -> int:
        """Return the sample to which an encoder is to hear the turn, so far or of the span."""
        so_far = span or self.ear.cutter.span
        assert so_far is not None
        end = so_far.end + self.ear.cutter.margin
        return min(end, self.ear.cutter.now) * self.ear.hop_samples

    @property
    def is_full(self) -> bool:
        """Whether there is another window to encode."""
        span = self.ear.cutter.span
        if span is not None and span.first == self.first:  # else it has ended
            self._settled = self.ear.cutter.settled * self.ear.hop_samples
        return self._window is not None and self._settled - self._done >= self._window

    def voice(self, least_ms: float) -> tuple[int, Floats] | None:
        """Return when a piece of the voice begins that was not returned before, and its samples
        (n,); None where there is less of it."""
        span = self.ear.cutter.span
        first = self._listened
        if span is None or (span.end - first) * self.ear.hop_us < least_ms * 1000:
            return None
        self._listened = span.end
        samples = (hop * self.ear.hop_samples for hop in (first, span.end))
        return self.ear.time_us(first), self.ear.sound(*samples)

    def sound(self, end: int) -> Floats:
        """Return the samples (n,) up to the sample `end`, those that are still kept."""
        return self.ear.sound(self._begin, end)

    def ahead(self, speaker: str) -> tuple[int, Encoded | None]:
        """Return what of it is encoded for this speaker already, and up to which sample."""
        if speaker != self._speaker:
            return self._begin, None
        return (self._done, self._whole) if self._tail is None else self._tail

    def built_on(self, speaker: str, end: int) -> Encoded | None:
        """Return what `encode` goes on from, or gives."""
        if speaker != self._speaker:
            return None
        return self._tail[1] if self._tail is not None and self._tail[0] == end else self._whole

    def windows_left(self, speaker: str, end: int) -> int:
        """Return how many windows it takes to encode it up to the sample `end`."""
        if self._window is None or end <= self._begin:
            return 0
        done, whole = self.ahead(speaker)
        if whole is not None and done == end:
            return 0
        done = self._done if speaker == self._speaker else self._begin
        short = 2 if done == self._begin else 1  # a short turn is heard twice
        return max(short, -(-(end - done) // self._window))

    def encode_windows(self, speaker: str) -> None:
        """Encode the windows that are full now. Raises EngineError."""
        if speaker != self._speaker:  # everyone is heard against their own voice
            self._speaker, self._whole, self._tail = speaker, None, None
            self._done = self._begin
        while self._window is not None and self.is_full:
            end = self._done + self._window
            self._whole, self._done = self._encode(self._done, end), end
            self._tail = None

    def encode(self, speaker: str, end: int) -> Encoded | None:
        """Return all of the sound up to the sample `end`, encoded; None where nothing can be.

        The last window overlaps with the one before. Raises EngineError.
        """
        if self._window is None or end <= self._begin:
            return None
        if end < self._done:  # cut where somebody else took over
            self._speaker, self._settled = None, end
        self.encode_windows(speaker)
        if self._whole is not None and end - self._done <= MARGIN_MS * SAMPLE_RATE_HZ // 1000:
            return self._whole
        if self._tail is None or self._tail[0] != end:
            first = self._done
            if self._whole is not None:
                first = min(first, max(self._begin, end - self._window))
            self._tail = end, self._encode(first, end)
        return self._tail[1]

    def _encode(self, first: int, end: int) -> Encoded:
        assert self._speaker is not None
        before = self._whole
        encoded = self._conversation.encode(
            self._speaker, audio=self.ear.sound(first, end), voiced=True, after=before
        )
        windows = len(encoded.outputs["audio"]["features"]) if encoded.outputs else 0
        took_ms = encoded.latency_ms["audio"] - (before.latency_ms["audio"] if before else 0.0)
        self._costs.note("audio", windows, took_ms)
        return encoded
