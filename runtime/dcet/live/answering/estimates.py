"""Has a conversation estimate turns from what was encoded of them ahead."""

from dataclasses import replace

from dcet.live.answering.planner import Costs
from dcet.live.answering.reporter import Spoken
from dcet.live.answering.texts import join, text_size
from dcet.live.people.people import People
from dcet.runtime.conversation import Conversation
from dcet.runtime.estimate import Estimate
from dcet.runtime.senses.encoded import Encoded
from dcet.runtime.turn import Features


class Estimates:
    """Makes estimates, and takes note of what they cost."""

    def __init__(self, conversation: Conversation, people: People, costs: Costs) -> None:
        self._conversation = conversation
        self._people = people
        self._costs = costs

    def encode(self, spoken: Spoken) -> Encoded:
        """Add the words and the faces to the sound. Raises InputError or EngineError."""
        if spoken.is_encoded and spoken.encoded is not None:
            return spoken.encoded
        text, before = join(spoken.words), spoken.encoded
        faces = self._people.faces(spoken.who, spoken.start_us, spoken.end_us)
        encoded = self._conversation.encode(
            spoken.who.speaker,
            text=text,
            faces=None if faces is None else Features(faces.features),
            after=before,
        )
        if text is not None:
            took_ms = [_took_ms(encoded, before, stage) for stage in ("tokenize", "text")]
            self._costs.note("text", text_size(text), sum(took_ms))
        if faces is None:
            spoken.left_out += [f"face: {trouble}" for trouble in self._people.troubles()]
            return encoded
        return replace(encoded, quality={**encoded.quality, "face": faces.quality})

    def preview(self, spoken: Spoken, encoded: Encoded) -> Estimate:
        """Return what `turn` would, and leave the memory as it is."""
        return self._conversation.preview(spoken.who.speaker, encoded=encoded)

    def turn(self, spoken: Spoken, encoded: Encoded) -> Estimate:
        """Estimate a turn, and remember it. Raises EmptyTurn or EngineError."""
        estimate = self._conversation.turn(
            spoken.who.speaker, encoded=encoded, at_us=max(0, spoken.start_us)
        )
        self._costs.note("step", 1, estimate.latency_ms["step"])
        return estimate

    def again(self, spoken: Spoken, encoded: Encoded | None) -> Encoded:
        """Encode the words of a turn whose sound and faces are encoded, and the sound gone."""
        text, speaker = join(spoken.words), spoken.who.speaker
        if encoded is None or encoded.origin.speaker == speaker:
            return self._conversation.encode(speaker, text=text, after=encoded)
        features = {name: Features(array) for name, array in encoded.features.items()}
        other = self._conversation.encode(
            speaker, text, features.get("audio"), features.get("face")
        )
        qualities = {name: encoded.quality[name] for name in ("audio", "face")}
        return replace(other, quality={**other.quality, **qualities})


def _took_ms(encoded: Encoded, before: Encoded | None, stage: str) -> float:
    """Return what a stage took since `before`."""
    return encoded.latency_ms[stage] - (0.0 if before is None else before.latency_ms[stage])
