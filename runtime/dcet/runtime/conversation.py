"""A conversation: turns in, estimates out, and a memory of every speaker in between."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.bank import Bank
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.engines.engine import Engine, start
from dcet.runtime.errors import ConfigError, EmptyTurn
from dcet.runtime.estimate import Estimate
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.runtime.memory import Arena, Recalled, Trajectory
from dcet.runtime.senses.encoders import Encoded, Encoders
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.turn import Colors, Features, Image, Turn, check_speaker
from dcet.runtime.uncopied import Uncopied

MAX_SPEAKERS = 4096  # each takes some 20 KB, whether they speak or not
# Less sure, an estimate is right less often than always naming the most common emotion would be
# (42 % of MELD's turns are neutral); a fifth of the turns are, two thirds of them wrong.
ABSTAIN_BELOW = 0.4


class Conversation(Uncopied):
    """Tracks the emotion of every speaker of one conversation. One thread at a time may use it.

    engine: `auto`, the name of one, or one of your own that runs the bundle's graphs
    max_speakers: how many are remembered, up to 4096; the one unheard for longest makes room for a
        new one, and `degraded` of that turn's estimate names them
    face_finder: finds faces in whole frames; by default one with the best detector that is here,
        made on first need and shared by the conversations of a thread
    bank_bytes: the most that the long-term bank may take, which reminds the model of a speaker's
        earlier turns that are like this one; 0, no bank. Needs the extra `memory`
    abstain_below: the confidence, from 0 to 1, below which an estimate abstains: its emotion is
        still the most probable one, and `abstains` says why it should not be believed

    Names that differ only in how their accents are encoded are one speaker. A turn that raises, or
    is interrupted, leaves the memory as it was. A conversation can be neither copied nor pickled.
    Nothing is written to disk. Raises ConfigError, MissingExtra or EngineError.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str | Engine = "auto",
        *,
        max_speakers: int = 64,
        face_finder: FaceFinder | None = None,
        bank_bytes: int = 0,
        abstain_below: float = ABSTAIN_BELOW,
    ) -> None:
        if not isinstance(bundle, Bundle):
            raise ConfigError(
                f"bundle: expected a Bundle, got {type(bundle).__name__}; "
                "open one with Bundle.open(path)"
            )
        if not _is_whole(max_speakers) or not 1 <= max_speakers <= MAX_SPEAKERS:
            raise ConfigError(
                f"max_speakers: expected a whole number from 1 to {MAX_SPEAKERS}, "
                f"got {max_speakers!r}"
            )
        if not _is_whole(bank_bytes):
            raise ConfigError(f"bank_bytes: expected a whole number, got {bank_bytes!r}")
        if not _is_share(abstain_below):
            raise ConfigError(
                f"abstain_below: expected a confidence from 0 (never) to 1, got {abstain_below!r}"
            )
        self.abstain_below = float(abstain_below)
        self.bundle = bundle
        self.engine = bundle.engine(engine) if isinstance(engine, str) else engine
        if not isinstance(self.engine, Engine):
            raise ConfigError(
                "engine: expected auto, the name of an engine, or an instance of a subclass of "
                f"dcet.runtime.engines.engine.Engine, got {type(self.engine).__name__}"
            )
        for name in ("name", "reason"):
            if not isinstance(getattr(self.engine, name, None), str):
                raise ConfigError(
                    f"engine: expected {type(self.engine).__name__}.{name} to be a str; set it"
                )
        self._arena = Arena(bundle.manifest.state, int(max_speakers), self.engine)
        self._bank = Bank(bundle.manifest, int(bank_bytes)) if bank_bytes else None
        self._encoders = Encoders(bundle, self.engine, face_finder)
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
    def turns(self) -> int:
        """The number of turns answered since the beginning or the last reset."""
        return self._arena.index.turns

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers who are remembered, the one silent for longest first."""
        return self._arena.speakers

    def turn(
        self,
        speaker: str,
        text: str | Features | None = None,
        audio: NDArray[Any] | Features | None = None,
        faces: Sequence[Image] | Features | None = None,
        *,
        sample_rate_hz: float = SAMPLE_RATE_HZ,
        colors: Colors = "rgb",
        whole_frames: bool = False,
    ) -> Estimate:
        """Estimate the emotion of one utterance, and remember it.

        text: what was said, up to 8192 characters
        audio: PCM as int16, float32 or float64 in [-1, 1], shape (n,) or (n, channels); other rates
            than 16 kHz need the extra `audio`
        faces: images in the order in which they were taken, each uint8 of shape (height, width) or
            (height, width, 1, 3 or 4), or the bytes of a picture file, which need the extra `faces`
        colors: the order of the channels of images given as arrays, rgb or bgr
        whole_frames: the images are not cut out around the face; find it, which needs `faces` too

        Each of the three may be Features instead. What cannot be used, such as a frame that is None
        or audio with NaN, is left out, and the turn answered from the rest; `degraded` of the
        estimate says what and why.

        Raises InputError where an argument as a whole is of a wrong type, shape or length,
        EmptyTurn where nothing of the turn can be used, MissingExtra or EngineError.
        """
        started = time.perf_counter()
        speaker = check_speaker(speaker)
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
        encoded = self._encoders.encode(turn, recalled)
        if not encoded.features:
            raise EmptyTurn(
                "expected text, audio or faces that this bundle can use, got "
                f"{'; '.join(encoded.degraded) or 'none of them'}; leave the turn out"
            )
        return self._step(speaker, recalled, encoded, started)

    def trajectory(self, speaker: str) -> Trajectory:
        """Return the last 256 turns of a speaker. Raises UnknownSpeaker."""
        return self._arena.trajectory(check_speaker(speaker))

    def forget(self, speaker: str) -> None:
        """Leave no trace of this speaker. What the scene remembers of all speakers goes with it.

        Other speakers keep their own memory. Raises UnknownSpeaker.
        """
        speaker = check_speaker(speaker)
        if self._bank is not None:  # first: once the arena knows no number, it cannot be told
            self._bank.forget(self._arena.number(speaker))
        self._arena.forget(speaker)

    def reset(self) -> None:
        """Forget all speakers and the scene, and count turns from 1 again."""
        self._arena.reset()
        if self._bank is not None:
            self._bank.reset()

    def _step(self, speaker: str, recalled: Recalled, encoded: Encoded, started: float) -> Estimate:
        """Run the step on what was encoded, and keep what it makes of the memory."""
        bank, number = self._bank, recalled.number
        with encoded.timed("step"):
            inputs = {**self._step_inputs(encoded), **recalled.states["step"]}
            inputs[self._speaker_input] = np.array([[number]], np.float32)
            if bank is not None:
                inputs |= bank.recall(number, encoded.features)
            outputs = start(self.engine, "step", inputs)()
            graphs = {**encoded.outputs, "step": outputs}
            index = self._arena.draft(speaker, graphs, encoded.face_place)
            if bank is not None:
                evicted = self._arena.number(recalled.evicted)
                rows = bank.draft(number, encoded.features, outputs, evicted)
        if recalled.evicted is not None:
            encoded.degraded.append(
                f"memory: {recalled.evicted!r}, unheard for longest, was forgotten to make room"
            )
        estimate = self._estimate(speaker, index.turns, recalled, encoded, outputs)
        estimate.latency_ms["total"] = (time.perf_counter() - started) * 1000
        before = self._arena.index
        rows_before = np.zeros(0, np.int64) if bank is None else bank.rows
        try:
            self._arena.index = index
            if bank is not None:
                bank.rows = rows
            return estimate
        except BaseException:  # an interrupt: the caller gets no estimate, so the turn was none
            self._arena.index = before
            if bank is not None:
                bank.rows = rows_before
            raise

    def _estimate(
        self,
        speaker: str,
        turn: int,
        recalled: Recalled,
        encoded: Encoded,
        outputs: Mapping[str, Floats],
    ) -> Estimate:
        probabilities = outputs["probabilities"][0].tolist()
        weights = outputs["modality_weights"][0].tolist()
        confidence = outputs["confidence"].item() if "confidence" in outputs else None
        familiarity = outputs.get("familiarity", np.ones((1, len(MODALITIES))))[0].tolist()
        return Estimate(
            speaker=speaker,
            turn=turn,
            emotion=EMOTIONS[int(np.argmax(probabilities))],
            probabilities=dict(zip(EMOTIONS, probabilities, strict=True)),
            confidence=confidence,
            abstains=self._abstains(confidence),
            sentiment=outputs["sentiment"].item(),
            shift=None if recalled.is_first else outputs["shift"].item(),
            modality_weights=dict(zip(MODALITIES, weights, strict=True)),
            quality=encoded.quality,
            familiarity=dict(zip(MODALITIES, familiarity, strict=True)),
            latency_ms=encoded.latency_ms,
            engine=self.engine.name,
            engine_reason=self.engine.reason,
            degraded=tuple(encoded.degraded),
        )

    def _abstains(self, confidence: float | None) -> str | None:
        """Say why an estimate of this confidence should not be believed, if so."""
        if confidence is None or confidence >= self.abstain_below:
            return None
        shown = math.floor(100 * confidence) / 100  # not rounded up to what it is below
        return f"confidence {shown:.2f} is below {self.abstain_below:g}"

    def _step_inputs(self, encoded: Encoded) -> dict[str, Floats]:
        """Make the step's inputs, but for speaker and states."""
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


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_share(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return 0 <= float(value) <= 1
