"""The estimate that a conversation makes of one turn."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The emotion of one turn, and how it was estimated."""

    speaker: str
    turn: int  # in the conversation, from 1
    emotion: str  # the most probable one
    probabilities: dict[str, float]  # calibrated; sum to 1
    confidence: float | None  # calibrated: that `emotion` is right; None: the bundle has none
    abstains: str | None  # why `emotion` should not be believed; None where it may be
    sentiment: float  # from -1, negative, to 1, positive
    shift: float | None  # probability that the speaker's emotion changed; None on their first turn
    modality_weights: dict[str, float]  # sum to 1; 0 where absent
    quality: dict[str, float]  # of each modality's source, measured, in [0, 1]; 1 where it was not
    familiarity: dict[str, float]  # with its features, from training, in [0, 1]; 1 as above
    latency_ms: dict[str, float]  # tokenize, text, speech, audio, find, face, step, total
    engine: str  # that ran
    engine_reason: str  # why it was this one
    degraded: tuple[str, ...]  # what was not used as it was given, and why; who was forgotten

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as values that JSON has."""
        return {**asdict(self), "degraded": list(self.degraded)}
