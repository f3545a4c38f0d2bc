"""Play the scripted conversation through a bundle."""

from typing import Any

from dcet.demo import TITLE, scripted_conversation
from dcet.runtime.conversation import Conversation
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import MODALITIES
from dcet.runtime.trajectory import Trajectory
from dcet.synthetic.actors import ACTORS, ScriptedTurn, synthesise_audio, synthesise_faces


def take_turn(conversation: Conversation, line: ScriptedTurn) -> Estimate:
    """Take the turn of a line, with audio and faces where the bundle can use them."""
    number = conversation.turns + 1
    usable, actor = usable_modalities(conversation), ACTORS[line.speaker]
    return conversation.turn(
        line.speaker,
        line.text,
        synthesise_audio(line, actor, seed=number) if "audio" in usable else None,
        synthesise_faces(line, actor, seed=number) if "face" in usable else None,
    )


def usable_modalities(conversation: Conversation) -> tuple[str, ...]:
    """Return the modalities for which the bundle has a trained encoder."""
    modalities = conversation.bundle.manifest.modalities
    return tuple(
        name for name in MODALITIES if modalities[name].encoder and modalities[name].trained
    )


def trajectories(conversation: Conversation) -> list[Trajectory]:
    """Return everyone's trajectory, in the order in which they joined."""
    found = [conversation.trajectory(speaker) for speaker in conversation.speakers]
    return sorted(found, key=lambda trajectory: int(trajectory.turns[0]))


def play_as_data(conversation: Conversation) -> dict[str, Any]:
    """Play the whole script; return estimates and trajectories, ready for JSON."""
    return {
        "title": TITLE,
        "bundle_sha256": conversation.bundle.sha256,
        "turns": [
            {
                "text": line.text,
                "acted": line.emotion,
                "camera": line.camera,
                "microphone": line.microphone,
                **take_turn(conversation, line).as_dict(),
            }
            for line in scripted_conversation()
        ],
        "trajectories": [
            {
                "speaker": trajectory.speaker,
                "turns": trajectory.turns.tolist(),
                "probabilities": trajectory.probabilities.tolist(),
                "sentiment": trajectory.sentiment.tolist(),
                "shift": [None, *trajectory.shift[1:].tolist()],
            }
            for trajectory in trajectories(conversation)
        ],
    }
