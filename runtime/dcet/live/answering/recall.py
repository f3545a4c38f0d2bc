"""What can be told of a speaker without running anything: the estimate of their last turn."""

from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import UnknownSpeaker
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS, MODALITIES


def remembered(conversation: Conversation, speaker: str) -> Estimate | None:
    """Return the speaker's last estimate, which abstains; None where there is none."""
    try:
        past = conversation.trajectory(speaker)
    except UnknownSpeaker:
        return None
    if len(past.turns) == 0:
        return None
    probabilities = past.probabilities[-1]
    return Estimate(
        speaker=speaker,
        turn=int(past.turns[-1]),
        emotion=EMOTIONS[int(probabilities.argmax())],
        probabilities=dict(zip(EMOTIONS, probabilities.tolist(), strict=True)),
        confidence=None,
        abstains="it is that of the turn before",
        sentiment=float(past.sentiment[-1]),
        shift=None,
        modality_weights=dict.fromkeys(MODALITIES, 0.0),
        quality=dict.fromkeys(MODALITIES, 1.0),
        familiarity=dict.fromkeys(MODALITIES, 1.0),
        latency_ms={},
        engine=conversation.engine.name,
        engine_reason=conversation.engine.reason,
        degraded=(),
    )
