"""Run a DCET bundle: the emotion of every speaker of a conversation, turn by turn, on the device.

    conversation = Conversation(Bundle.default())
    estimate = conversation.turn("Mara", "I got the job!")
    estimate.emotion, estimate.sentiment, conversation.trajectory("Mara").probabilities

It imports no other package of DCET.
"""

from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import DcetError
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.runtime.senses.encoded import Encoded
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.summary import Summary
from dcet.runtime.trajectory import Trajectory
from dcet.runtime.turn import Features

__all__ = [
    "EMOTIONS",
    "MODALITIES",
    "Bundle",
    "Conversation",
    "DcetError",
    "Encoded",
    "Estimate",
    "FaceFinder",
    "Features",
    "Summary",
    "Trajectory",
]
