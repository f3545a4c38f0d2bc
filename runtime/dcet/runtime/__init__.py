"""Run a DCET bundle: the emotion of every speaker of a conversation, turn by turn, on the device.

bundle = Bundle.open("dcet-default-cpu.dcet")
conversation = Conversation(bundle)
estimate = conversation.turn("Mara", "I got the job!")
estimate.emotion, estimate.sentiment, conversation.trajectory("Mara").probabilities
"""

import os
import sys

# Engines keep an identifier and report to their makers, unless they are told before they are
# imported. OpenVINO and NNCF go on in silence where this package is missing: None stands for that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import DcetError
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.runtime.memory import Trajectory
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.turn import Features

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
