"""A conversation: turns in, estimates out, and a memory of every speaker in between."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle import Bundle
from dcet.runtime.errors import ConfigError, EmptyTurn, EngineError
from dcet.runtime.estimate import Estimate
from dcet.runtime.features import (
    SAMPLE_RATE_HZ,
    Features,
    check_audio,
    check_faces,
    check_features,
    check_speaker,
    check_text,
)
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.runtime.memory import Arena, Floats, Trajectory
from dcet.runtime.text import normalise_text


class Conversation:
    """Tracks the emotion of every speaker of one conversation. One thread at a time may use it.

    max_speakers: how many are remembered; the one unheard for longest makes room for a new one

    A turn that raises leaves the memory as it was. Nothing is written to disk.
    """

    def __init__(self, bundle: Bundle, engine: str = "auto", *, max_speakers: int = 64) -> None:
        if max_speakers < 1:
            raise ConfigError(f"max_speakers: expected 1 or more, got {max_speakers}")
        self.bundle = bundle
        self.engine = bundle.engine(engine)
        self.turns = 0  # that were answered since the beginning or the last reset
        self._arena = Arena(bundle.manifest.state, max_speakers)
        self._modalities = bundle.manifest.modalities
        self._text_graph = self._modalities["text"].encoder or ""
        self._tokenizer = bundle.tokenizer  # loaded here, so that the first turn need not wait
        self._speaker_input = bundle.manifest.speaker_input
        # What the step is fed where nothing is given.
        state = {pair.input for pair in bundle.manifest.state}
        self._absent = {
            tensor.name: np.zeros(tuple(map(int, tensor.shape)), np.float32)
            for tensor in bundle.manifest.graphs["step"].inputs
            if tensor.name not in state
        }

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who is remembered, the one unheard for longest first."""
        return self._arena.speakers

    def turn(
        self,
        speaker: str,
        text: str | Features | None = None,
        audio: NDArray[Any] | Features | None = None,
        faces: Sequence[NDArray[Any]] | Features | None = None,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
    ) -> Estimate:
        """Estimate the emotion of one utterance, and remember it.

        text: what was said
        audio: how: mono PCM at 16 kHz, float32 or int16, shape (samples,)
        faces: how it looked: RGB crops, uint8, shape (height, width, 3) each
        Each may be Features instead. What this bundle cannot use is named in `degraded`.

        Raises the InputError that says what is wrong with the turn, or EngineError.
        """
        started = time.perf_counter()
        check_speaker(speaker)
        given = {"text": text, "audio": audio, "face": faces}
        usable, degraded = self._usable(given, sample_rate_hz)
        latency_ms = {"tokenize": 0.0, "text": 0.0, "step": 0.0}
        if isinstance(words := usable.get("text"), str):
            usable["text"], was_cut = self._encode_text(words, latency_ms)
            if was_cut:
                degraded.append(f"text: cut to {self.bundle.manifest.tokenizer.max_tokens} tokens")

        recalled = self._arena.recall(speaker)
        inputs = {**self._step_inputs(usable), **recalled.states}
        inputs[self._speaker_input] = np.array([[recalled.number]], np.float32)
        with _timed(latency_ms, "step"):
            outputs = self.engine.run("step", inputs)
        if not all(np.isfinite(array).all() for array in outputs.values()):
            raise EngineError(
                f"{self.engine.name}: expected finite estimates, got NaN or infinity; "
                "check the scale of Features, or try another engine"
            )
        self._arena.commit(speaker, self.turns + 1, outputs)
        self.turns += 1
        latency_ms["total"] = (time.perf_counter() - started) * 1000
        probabilities = outputs["probabilities"][0].tolist()
        weights = outputs["modality_weights"][0].tolist()
        return Estimate(
            speaker=speaker,
            turn=self.turns,
            emotion=EMOTIONS[int(np.argmax(probabilities))],
            probabilities=dict(zip(EMOTIONS, probabilities, strict=True)),
            sentiment=outputs["sentiment"].item(),
            shift=None if recalled.is_first else outputs["shift"].item(),
            modality_weights=dict(zip(MODALITIES, weights, strict=True)),
            latency_ms=latency_ms,
            engine=self.engine.name,
            engine_reason=self.engine.reason,
            degraded=tuple(degraded),
        )

    def trajectory(self, speaker: str) -> Trajectory:
        """The last 256 turns of a speaker. Raises UnknownSpeaker."""
        return self._arena.trajectory(speaker)

    def forget(self, speaker: str) -> None:
        """Leave no trace of this speaker. What the scene remembers of everybody goes with it.

        Other speakers keep their own memory. Raises UnknownSpeaker.
        """
        self._arena.forget(speaker)

    def reset(self) -> None:
        """Begin anew: nobody has spoken."""
        self._arena.reset()
        self.turns = 0

    def _usable(
        self, given: dict[str, Any], sample_rate_hz: int
    ) -> tuple[dict[str, Any], list[str]]:
        """What of the given this bundle can use, and why not the rest. Raises InputError."""
        usable, degraded = {}, []
        for name, value in given.items():
            if value is None:
                continue
            modality = self._modalities[name]
            is_encoded = isinstance(value, Features)
            if is_encoded:
                check_features(name, value, modality)
                value = value.array
            elif name == "text":
                check_text(value)
                value = normalise_text(value)
            elif name == "audio":
                check_audio(value, sample_rate_hz)
            else:
                check_faces(value)
            if len(value) == 0:
                degraded.append(f"{name}: empty")
            elif not modality.trained:
                degraded.append(f"{name}: this model was not trained on it")
            elif not is_encoded and (name != "text" or modality.encoder is None):
                degraded.append(f"{name}: this bundle has no encoder for it")
            else:
                usable[name] = value
        if not usable:
            raise EmptyTurn(
                "expected text, audio or faces that this bundle can use, got "
                f"{'; '.join(degraded) or 'none of them'}; leave the turn out"
            )
        return usable, degraded

    def _encode_text(self, text: str, latency_ms: dict[str, float]) -> tuple[Floats, bool]:
        """Features (width,), and whether the text had to be cut."""
        with _timed(latency_ms, "tokenize"):
            encoding = self._tokenizer.encode(text)
            inputs = {
                "input_ids": np.array([encoding.ids], np.int32),
                "attention_mask": np.array([encoding.attention_mask], np.int32),
            }
        with _timed(latency_ms, "text"):
            features = self.engine.run(self._text_graph, inputs)["features"]
        return features[0], bool(encoding.overflowing)

    def _step_inputs(self, features: dict[str, Floats]) -> dict[str, Floats]:
        """The step's inputs, but for speaker and states."""
        inputs = dict(self._absent)
        present = np.array([[name in features for name in MODALITIES]], np.float32)
        inputs["modality_mask"] = present
        inputs["quality"] = np.ones_like(present)
        for name, array in features.items():
            modality = self._modalities[name]
            if modality.mask is None:
                inputs[modality.input] = array[None]
                continue
            inputs[modality.input] = np.zeros_like(inputs[modality.input])
            inputs[modality.input][0, : len(array)] = array
            inputs[modality.mask] = np.zeros_like(inputs[modality.mask])
            inputs[modality.mask][0, : len(array)] = 1
        return inputs


@contextmanager
def _timed(latency_ms: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    latency_ms[stage] = (time.perf_counter() - started) * 1000
