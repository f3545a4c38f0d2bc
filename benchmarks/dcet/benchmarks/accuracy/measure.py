"""The accuracy report: the figures of `dcet-train evaluate`, through the bundle and the runtime."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcet.benchmarks.accuracy.trust import Trust, measure_trust
from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.progress import Track
from dcet.data.answers import dialogue_figures
from dcet.data.meld import Utterance, read_meld
from dcet.data.playing import answers
from dcet.runtime import Bundle, Conversation, Estimate
from dcet.runtime.errors import DataError

ACCURACY_SCHEMA = "dcet-bench/accuracy/1"


@dataclass(frozen=True, kw_only=True)
class AccuracyReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    machine: Machine
    corpus: str
    data: str  # the file's name, without the folder
    reset_memory: bool  # after every turn
    metrics: dict[str, Any]
    trust: Trust

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it; metrics have the keys of `dcet-train evaluate`."""
        identity = asdict(self)
        metrics = identity.pop("metrics")
        return {"schema": ACCURACY_SCHEMA, **identity, **metrics}


def measure_accuracy(
    bundle: Bundle, engine: str, corpus: str, data: Path, *, reset_memory: bool, track: Track
) -> AccuracyReport:
    """Play every dialogue of a MELD-style CSV; the memory starts empty with each.

    An utterance that the bundle cannot use counts as `dcet.data.answers` says. A turn without a
    shift (the first one of a speaker) counts as shift probability 0; with `reset_memory` that is
    every turn. Raises DataError.
    """
    machine = read_machine()
    dialogues = read_meld(data)
    if not dialogues:
        raise DataError(f"{data}: no utterance to play; expected at least one row")
    speakers = max(len({turn.speaker for turn in dialogue.turns}) for dialogue in dialogues)
    conversation = Conversation(bundle, engine, max_speakers=speakers)

    def take(turn: Utterance) -> Estimate:
        estimate = conversation.turn(turn.speaker, turn.text)
        if reset_memory:
            conversation.reset()
        return estimate

    played = [
        (turn, result)
        for dialogue in track(dialogues, "dialogues")
        for turn, result in zip(
            dialogue.turns, answers(conversation, dialogue.turns, take), strict=True
        )
    ]
    metrics = dialogue_figures(
        data,
        dialogues,
        [result.answer for _, result in played],
        [turn for turn, result in played if result.estimate is None],
    )
    return AccuracyReport(
        created=now(),
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, engine),
        machine=machine,
        corpus=corpus,
        data=data.name,
        reset_memory=reset_memory,
        metrics=metrics,
        trust=measure_trust(
            [result.estimate for _, result in played],
            np.array([result.answer.probabilities.argmax() == t.emotion for t, result in played]),
        ),
    )
