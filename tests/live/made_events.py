"""Events as a session would make them, for what shows them."""

from collections.abc import Mapping
from typing import Any

from dcet.live.events import Event
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS, MODALITIES


def estimate(shares: Mapping[str, float], **values: Any) -> Estimate:
    """An estimate of these probabilities; what is left of 1 is spread over the other emotions."""
    rest = (1 - sum(shares.values())) / (len(EMOTIONS) - len(shares))
    probabilities = {name: shares.get(name, rest) for name in EMOTIONS}
    made: dict[str, Any] = {
        "speaker": "Ann",
        "turn": 1,
        "emotion": max(probabilities, key=lambda name: probabilities[name]),
        "probabilities": probabilities,
        "confidence": 0.7,
        "abstains": None,
        "sentiment": 0.1,
        "shift": None,
        "modality_weights": {"text": 0.0, "audio": 0.6, "face": 0.4},
        "quality": dict.fromkeys(MODALITIES, 1.0),
        "familiarity": dict.fromkeys(MODALITIES, 1.0),
        "latency_ms": {"total": 3.0},
        "engine": "onnxruntime",
        "engine_reason": "asked for",
        "degraded": (),
    }
    return Estimate(**made | values)


def event(seq: int, shares: Mapping[str, float] | None, **values: Any) -> Event:
    """A final of turn `seq`, of Ann, from second 3 seq on and a second long."""
    made: dict[str, Any] = {
        "seq": seq,
        "turn_id": seq,
        "revision": 0,
        "kind": "final",
        "status": "ok" if shares else "missing",
        "speaker": "Ann",
        "speaker_confidence": 0.9,
        "start_us": seq * 3_000_000,
        "end_us": seq * 3_000_000 + 1_000_000,
        "text": None,
        "estimate": estimate(shares, speaker=values.get("speaker", "Ann")) if shares else None,
        "left_out": (),
        "deadline_us": seq * 3_000_000 + 1_350_000,
        "latency_ms": {"cut": 288.0, "wait": 0.4, "audio": 2.0, "step": 1.0, "total": 291.4},
    }
    return Event(**made | values)
