"""The graph `step` of a bundle: what it is fed, and the estimate that its outputs make."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.bank import Bank
from dcet.runtime.bundle.manifest import Manifest
from dcet.runtime.engines.engine import Engine, start
from dcet.runtime.errors import EmptyTurn
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.runtime.memory import Recalled
from dcet.runtime.senses.encoded import Encoded


class Step:
    """Answers a turn from what was encoded of it. It changes neither memory nor bank."""

    def __init__(
        self, manifest: Manifest, engine: Engine, bank: Bank | None, abstain_below: float
    ) -> None:
        self._engine = engine
        self._bank = bank
        self._abstain_below = abstain_below
        self._modalities = manifest.modalities
        self._speaker_input = manifest.speaker_input
        # What the step is fed where nothing is given.
        state = {pair.input for pair in manifest.state}
        self._absent = {
            tensor.name: np.zeros(tuple(map(int, tensor.shape)), np.float32)
            for tensor in manifest.graphs["step"].inputs
            if tensor.name not in state
        }

    def run(self, recalled: Recalled, encoded: Encoded) -> dict[str, Floats]:
        """Run the graph. Raises EmptyTurn where nothing could be encoded, or EngineError."""
        if not encoded.features:
            raise EmptyTurn(
                "expected text, audio or faces that this bundle can use, got "
                f"{'; '.join(encoded.degraded) or 'none of them'}; leave the turn out"
            )
        inputs = {**self._features(encoded), **recalled.states["step"]}
        inputs[self._speaker_input] = np.array([[recalled.number]], np.float32)
        if self._bank is not None:
            inputs |= self._bank.recall(recalled.number, encoded.features)
        return start(self._engine, "step", inputs)()

    def estimate(
        self,
        turn: int,
        recalled: Recalled,
        encoded: Encoded,
        outputs: Mapping[str, Floats],
        latency_ms: dict[str, float],
        notes: Sequence[str] = (),
    ) -> Estimate:
        """Make the estimate of the turn of this number; `notes` go into `degraded`, too."""
        probabilities = outputs["probabilities"][0].tolist()
        weights = outputs["modality_weights"][0].tolist()
        confidence = outputs["confidence"].item() if "confidence" in outputs else None
        familiarity = outputs.get("familiarity", np.ones((1, len(MODALITIES))))[0].tolist()
        degraded = [*encoded.degraded, *notes]
        if recalled.evicted is not None:
            degraded.append(
                f"memory: {recalled.evicted!r}, unheard for longest, was forgotten to make room"
            )
        return Estimate(
            speaker=recalled.origin.speaker,
            turn=turn,
            emotion=EMOTIONS[int(np.argmax(probabilities))],
            probabilities=dict(zip(EMOTIONS, probabilities, strict=True)),
            confidence=confidence,
            abstains=self._abstains(confidence),
            sentiment=outputs["sentiment"].item(),
            shift=None if recalled.origin.turns == 0 else outputs["shift"].item(),
            modality_weights=dict(zip(MODALITIES, weights, strict=True)),
            quality=dict(encoded.quality),
            familiarity=dict(zip(MODALITIES, familiarity, strict=True)),
            latency_ms=latency_ms,
            engine=self._engine.name,
            engine_reason=self._engine.reason,
            degraded=tuple(degraded),
        )

    def _abstains(self, confidence: float | None) -> str | None:
        """Say why an estimate of this confidence should not be believed, if so."""
        if confidence is None or confidence >= self._abstain_below:
            return None
        shown = math.floor(100 * confidence) / 100  # not rounded up to what it is below
        return f"confidence {shown:.2f} is below {self._abstain_below:g}"

    def _features(self, encoded: Encoded) -> dict[str, Floats]:
        """Make the step's inputs, but for speaker, states and episodes."""
        inputs = dict(self._absent)
        present = [name in encoded.features for name in MODALITIES]
        inputs["modality_mask"] = np.array([present], np.float32)
        inputs["quality"] = np.array([[encoded.quality[n] for n in MODALITIES]], np.float32)
        for name, array in encoded.features.items():
            modality = self._modalities[name]
            if modality.mask is None:
                inputs[modality.input] = array[None]
                continue
            inputs[modality.input] = np.zeros_like(inputs[modality.input])
            inputs[modality.input][0, : len(array)] = array
            inputs[modality.mask] = np.zeros_like(inputs[modality.mask])
            inputs[modality.mask][0, : len(array)] = 1
        return inputs
