"""A turn while it is spoken: each window of its sound is encoded once, as soon as it is there."""

from dcet.live.ear import Ear
from dcet.live.turn_cutter import Span
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.conversation import Conversation
from dcet.runtime.senses.encoded import Encoded
from dcet.runtime.senses.speech import MARGIN_MS


class OpenTurn:
    """The sound of one turn, encoded for the speaker who it is taken for so far.

    named: the speaker, where the host named them
    begun_us: media time at which the host began it; None, where the voice did
    """

    def __init__(
        self,
        turn_id: int,
        ear: Ear,
        conversation: Conversation,
        *,
        named: str | None = None,
        begun_us: int | None = None,
    ) -> None:
        assert ear.cutter.span is not None
        self.turn_id = turn_id
        self.ear = ear
        self.named = named
        self.begun_us = begun_us
        self.first = ear.cutter.span.first
        self.revision = 0
        self.interims = 0
        self.ahead_ms: dict[str, float] = {}  # what was encoded took before it was asked for
        self._conversation = conversation
        audio = conversation.bundle.manifest.modalities["audio"]
        self._window = audio.window_samples if audio.encoder is not None else None
        margin = 0 if begun_us is not None else ear.cutter.margin
        self._begin = max(0, ear.cutter.span.first - margin) * ear.hop_samples
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

    def sound(self, end: int) -> Floats:
        """Return the samples (n,) up to the sample `end`, those that are still kept."""
        return self.ear.sound(self._begin, end)

    def encode_windows(self, speaker: str) -> None:
        """Encode the windows that are full now. Raises EngineError."""
        if speaker != self._speaker:  # everyone is heard against their own voice
            self._speaker, self._whole, self._tail = speaker, None, None
            self._done = self._begin
        while self._window is not None and self.is_full:
            end = self._done + self._window
            self._whole, self._done = self._encode(self._done, end), end

    def encode(self, speaker: str, end: int) -> Encoded | None:
        """Return all of the sound up to the sample `end`, encoded; None where nothing can be.

        The last window overlaps with the one before. Raises EngineError.
        """
        if self._window is None or end <= self._begin:
            return None
        is_ready = self._tail is not None and self._tail[0] == end
        ahead = self._tail[1] if self._tail is not None and is_ready else self._whole
        self.ahead_ms = dict(ahead.latency_ms) if ahead and speaker == self._speaker else {}
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
        pcm = self.ear.sound(first, end)
        return self._conversation.encode(self._speaker, audio=pcm, voiced=True, after=self._whole)
