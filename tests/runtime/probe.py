"""The memory of a conversation, seen from outside: what its next turn would feed an engine."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from numpy.typing import NDArray

from dcet.runtime import Bundle, Conversation
from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.engines.engine import DeviceState, Engine, States
from dcet.runtime.errors import EngineError
from dcet.synthetic.probes import speech

Array = NDArray[Any]


class Probe(Engine):
    """An engine that shows what it is fed, and then fails, so that nothing of it is remembered."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.reason = engine.name, engine.reason
        self._engine = engine
        self._shown: dict[str, Any] | None = None

    def keep_states(self, state: Sequence[StatePair], slots: int) -> States | None:
        """Keep states as the engine does."""
        return self._engine.keep_states(state, slots)

    def run(self, graph: str, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Run the graph as the engine does, unless it is asked to show."""
        if self._shown is not None:
            self._shown |= {
                name: given if isinstance(given, DeviceState) else given.copy()
                for name, given in inputs.items()
            }
            if graph == "step":
                raise EngineError("this was shown")
        return self._engine.run(graph, inputs)

    def fed(self, conversation: Conversation, speaker: str) -> dict[str, Any]:
        """The inputs of a turn of this speaker, those of all graphs together: arrays, or where the
        engine keeps states on its device, DeviceState."""
        self._shown = {}
        try:
            with pytest.raises(EngineError, match="this was shown"):
                conversation.turn(speaker, "fine", audio=speech(1))
            return self._shown
        finally:
            self._shown = None


def probed(bundle: Bundle, engine: Engine | None = None, **options: Any) -> Conversation:
    """A conversation that `states` and `remembered` can look into."""
    return Conversation(bundle, Probe(engine or bundle.engine()), **options)


def states(conversation: Conversation, speaker: str, per: str = "speaker") -> dict[str, Any]:
    """The states of the speaker, or those of the scene."""
    fed = _probe(conversation).fed(conversation, speaker)
    return {
        pair.input: fed[pair.input]
        for pair in conversation.bundle.manifest.state
        if pair.per == per and pair.input in fed
    }


def number(conversation: Conversation, speaker: str) -> float:
    """The speaker's."""
    fed = _probe(conversation).fed(conversation, speaker)
    return float(fed[conversation.bundle.manifest.speaker_input].item())


def remembered(conversation: Conversation) -> dict[str, Any]:
    """Everything: what is public, and the states of all speakers and of a new one."""
    stranger = "a stranger"
    return {
        "turns": conversation.turns,
        "speakers": conversation.speakers,
        "trajectories": [
            tuple(
                array.tobytes()
                for array in (spoken.turns, spoken.probabilities, spoken.sentiment, spoken.shift)
            )
            for spoken in map(conversation.trajectory, conversation.speakers)
        ],
        "states": [
            {name: array.tobytes() for name, array in fed.items()}
            for fed in (
                _probe(conversation).fed(conversation, speaker)
                for speaker in (*conversation.speakers, stranger)
            )
        ],
    }


def _probe(conversation: Conversation) -> Probe:
    assert isinstance(conversation.engine, Probe)
    return conversation.engine
