"""A conversation: turns in, estimates out, and a memory of every speaker in between."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.engines.protocol import Engine, start
from dcet.runtime.errors import ConfigError, EmptyTurn
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.runtime.memory import Arena, Trajectory
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.senses.senses import Perceived, Senses
from dcet.runtime.turn import Colors, Features, Image, Turn, check_speaker


class Conversation:
    """Tracks the emotion of every speaker of one conversation. One thread at a time may use it.

    engine: `auto`, the name of one, or one of your own that runs the bundle's graphs
    max_speakers: how many are remembered; the one unheard for longest makes room for a new one
    face_finder: finds faces in whole frames; one with OpenCV's cascade is made on first need

    A turn that raises leaves the memory as it was. Nothing is written to disk.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str | Engine = "auto",
        *,
        max_speakers: int = 64,
        face_finder: FaceFinder | None = None,
    ) -> None:
        if max_speakers < 1:
            raise ConfigError(f"max_speakers: expected 1 or more, got {max_speakers}")
        self.bundle = bundle
        self.engine = bundle.engine(engine) if isinstance(engine, str) else engine
        self.turns = 0  # that were answered since the beginning or the last reset
        self._arena = Arena(bundle.manifest.state, max_speakers, self.engine)
        self._senses = Senses(bundle, self.engine, face_finder)
        self._modalities = bundle.manifest.modalities
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
        faces: Sequence[Image] | Features | None = None,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        colors: Colors = "rgb",
        whole_frames: bool = False,
    ) -> Estimate:
        """Estimate the emotion of one utterance, and remember it.

        text: what was said
        audio: how: PCM as int16, float32 or float64 in [-1, 1], shape (n,) or (n, channels);
            other rates than 16 kHz need the extra `audio`
        faces: how it looked: images in the order in which they were taken, each uint8 of shape
            (height, width) or (height, width, 1, 3 or 4), or the bytes of a JPEG or PNG, which
            need the extra `faces`
        colors: the order of the channels of images given as arrays, rgb or bgr
        whole_frames: the images are not cut out around the face; find it, which needs `faces` too

        Each of the three may be Features instead. What cannot be used is left out, and the turn
        answered from the rest; `degraded` of the estimate says what and why.

        Raises the InputError that says what is wrong with the turn, EmptyTurn where nothing of it
        can be used, MissingExtra or EngineError.
        """
        started = time.perf_counter()
        check_speaker(speaker)
        turn = Turn(
            text=text,
            audio=audio,
            face=faces,
            sample_rate_hz=sample_rate_hz,
            colors=colors,
            whole_frames=whole_frames,
        )
        turn.check(self._modalities)
        recalled = self._arena.recall(speaker)
        perceived = self._senses.perceive(turn, recalled)
        if not perceived.features:
            raise EmptyTurn(
                "expected text, audio or faces that this bundle can use, got "
                f"{'; '.join(perceived.degraded) or 'none of them'}; leave the turn out"
            )
        inputs = {**self._step_inputs(perceived), **recalled.states["step"]}
        inputs[self._speaker_input] = np.array([[recalled.number]], np.float32)
        with perceived.timed("step"):
            outputs = start(self.engine, "step", inputs)()
        graphs = {**perceived.outputs, "step": outputs}
        self._arena.commit(speaker, self.turns + 1, graphs, perceived.face_place)
        self.turns += 1
        probabilities = outputs["probabilities"][0].tolist()
        weights = outputs["modality_weights"][0].tolist()
        total_ms = (time.perf_counter() - started) * 1000
        return Estimate(
            speaker=speaker,
            turn=self.turns,
            emotion=EMOTIONS[int(np.argmax(probabilities))],
            probabilities=dict(zip(EMOTIONS, probabilities, strict=True)),
            sentiment=outputs["sentiment"].item(),
            shift=None if recalled.is_first else outputs["shift"].item(),
            modality_weights=dict(zip(MODALITIES, weights, strict=True)),
            quality=perceived.quality,
            latency_ms={**perceived.latency_ms, "total": total_ms},
            engine=self.engine.name,
            engine_reason=self.engine.reason,
            degraded=tuple(perceived.degraded),
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

    def _step_inputs(self, perceived: Perceived) -> dict[str, Floats]:
        """The step's inputs, but for speaker and states."""
        inputs = dict(self._absent)
        present = [name in perceived.features for name in MODALITIES]
        inputs["modality_mask"] = np.array([present], np.float32)
        inputs["quality"] = np.array([[perceived.quality[n] for n in MODALITIES]], np.float32)
        for name, array in perceived.features.items():
            modality = self._modalities[name]
            if modality.mask is None:
                inputs[modality.input] = array[None]
                continue
            inputs[modality.input] = np.zeros_like(inputs[modality.input])
            inputs[modality.input][0, : len(array)] = array
            inputs[modality.mask] = np.zeros_like(inputs[modality.mask])
            inputs[modality.mask][0, : len(array)] = 1
        return inputs
