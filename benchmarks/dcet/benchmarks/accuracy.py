"""The figures of `dcet-train evaluate`, through the bundle and the runtime."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.progress import Track
from dcet.data.meld import read_meld
from dcet.data.metrics import conversation_metrics
from dcet.runtime import Bundle, Conversation
from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS

ACCURACY_SCHEMA = "dcet-bench/accuracy/1"


@dataclass(frozen=True, kw_only=True)
class AccuracyReport:
    bundle: BundleIdentity
    engine: EngineIdentity
    corpus: str
    data: str  # the file's name, without the folder
    reset_memory: bool  # after every turn
    metrics: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; the metrics stand at the top, under the keys of `dcet-train evaluate`."""
        identity = asdict(self)
        metrics = identity.pop("metrics")
        return {"schema": ACCURACY_SCHEMA, **identity, **metrics}


def measure_accuracy(
    bundle: Bundle, engine: str, corpus: str, data: Path, *, reset_memory: bool, track: Track
) -> AccuracyReport:
    """Play every dialogue of a MELD-style CSV; the memory starts empty with each.

    A turn without a shift (the first one of a speaker) counts as shift probability 0; with
    `reset_memory` that is every turn.
    """
    dialogues = read_meld(data)
    if not dialogues:
        raise DataError(f"{data}: no utterance to play; expected at least one row")
    speakers = max(len({turn.speaker for turn in dialogue.turns}) for dialogue in dialogues)
    conversation = Conversation(bundle, engine, max_speakers=speakers)
    estimates = []
    for dialogue in track(dialogues, "dialogues"):
        conversation.reset()
        for turn in dialogue.turns:
            estimates.append(conversation.turn(turn.speaker, turn.text))
            if reset_memory:
                conversation.reset()
    metrics = conversation_metrics(
        dialogues,
        np.array([[estimate.probabilities[label] for label in EMOTIONS] for estimate in estimates]),
        np.array([estimate.sentiment for estimate in estimates]),
        np.array([estimate.shift or 0.0 for estimate in estimates]),
    )
    return AccuracyReport(
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, engine),
        corpus=corpus,
        data=data.name,
        reset_memory=reset_memory,
        metrics=metrics,
    )
