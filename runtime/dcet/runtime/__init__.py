"""Run a DCET bundle: the emotion of every speaker of a conversation, turn by turn, on the device.

bundle = Bundle.open("dcet-default-cpu.dcet")
conversation = Conversation(bundle)
estimate = conversation.turn("Mara", "I got the job!")
estimate.emotion, estimate.sentiment, conversation.trajectory("Mara").probabilities
"""

import os

# Before it is imported, or ONNX Runtime writes an identifier and tells its makers that it was used.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from dcet.runtime.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import DcetError
from dcet.runtime.estimate import Estimate
from dcet.runtime.face_finder import FaceFinder
from dcet.runtime.features import Features
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.runtime.memory import Trajectory

__all__ = [
    "EMOTIONS",
    "MODALITIES",
    "Bundle",
    "Conversation",
    "DcetError",
    "Estimate",
    "FaceFinder",
    "Features",
    "Trajectory",
]
