"""What of a turn the step can take: features of each modality, and how good their sources are."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import Floats
from dcet.runtime.engines.protocol import Engine, start
from dcet.runtime.labels import MODALITIES
from dcet.runtime.memory import Recalled
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.senses.images import Pixels, crop_qualities, spread, to_crop, to_rgb
from dcet.runtime.senses.sound import prepare_sound
from dcet.runtime.senses.text import normalise_text, share_known
from dcet.runtime.turn import Features, Image, Turn, Unusable

if TYPE_CHECKING:
    from dcet.runtime.bundle.bundle import Bundle

STAGES = ("tokenize", "text", "audio", "find", "face", "step")


@dataclass(slots=True, eq=False)
class Perceived:
    """What became of what was given, modality by modality."""

    features: dict[str, Floats] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 1.0))
    outputs: dict[str, dict[str, Floats]] = field(default_factory=dict)  # of each encoder that ran
    face_place: Floats | None = None  # where the speaker's face was last seen in a frame
    degraded: list[str] = field(default_factory=list)
    latency_ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what the block takes to the stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.latency_ms[stage] += (time.perf_counter() - started) * 1000


class Senses:
    """The encoders of a bundle. Changes nothing but the `Perceived` it returns."""

    def __init__(self, bundle: "Bundle", engine: Engine, face_finder: FaceFinder | None) -> None:
        self._bundle = bundle
        self._engine = engine
        self._face_finder = face_finder
        self._modalities = bundle.manifest.modalities
        self._tokenizer = bundle.tokenizer  # loaded here, so that the first turn need not wait

    def perceive(self, turn: Turn, recalled: Recalled) -> Perceived:
        """Encode what this bundle can use of a checked turn, and say why not the rest.

        Encoders run side by side where the engine can. Raises MissingExtra or EngineError.
        """
        perceived = Perceived()
        begun: list[Callable[[], None]] = []
        for name, given in turn.given.items():
            try:
                if not self._modalities[name].trained:
                    raise Unusable("this model was not trained on it")
                if isinstance(given, Features):
                    if len(given.array) == 0:
                        raise Unusable("empty")
                    perceived.features[name] = given.array
                elif name == "text":
                    begun.append(self._read(given, perceived))
                elif name == "audio":
                    begun.append(self._hear(given, turn.sample_rate_hz, recalled, perceived))
                else:
                    begun.append(self._look(given, turn, recalled, perceived))
            except Unusable as reason:
                perceived.degraded.append(f"{name}: {reason}")
        for finish in begun:
            finish()
        return perceived

    def _read(self, text: str, perceived: Perceived) -> Callable[[], None]:
        graph = self._encoder("text")
        text = normalise_text(text)
        if not text:
            raise Unusable("empty")
        with perceived.timed("tokenize"):
            encoding = self._tokenizer.encode(text)
        known = share_known(encoding)
        if known == 0:
            raise Unusable("none of its words is known")
        if encoding.overflowing:
            most = self._bundle.manifest.tokenizer.max_tokens
            perceived.degraded.append(f"text: cut to {most} tokens")
        inputs = {
            "input_ids": np.array([encoding.ids], np.int32),
            "attention_mask": np.array([encoding.attention_mask], np.int32),
        }
        with perceived.timed("text"):
            pending = start(self._engine, graph, inputs)
        perceived.quality["text"] = known

        def finish() -> None:
            with perceived.timed("text"):
                perceived.features["text"] = pending()["features"][0]

        return finish

    def _hear(
        self, audio: NDArray[Any], sample_rate_hz: int, recalled: Recalled, perceived: Perceived
    ) -> Callable[[], None]:
        graph = self._encoder("audio")
        modality = self._modalities["audio"]
        with perceived.timed("audio"):
            sound = prepare_sound(
                audio,
                sample_rate_hz,
                window_samples=modality.window_samples or 0,
                most=modality.most,
            )
            inputs = {"pcm": sound.windows, **recalled.states.get(graph, {})}
            pending = start(self._engine, graph, inputs)
        perceived.quality["audio"] = sound.quality
        perceived.degraded += [f"audio: {note}" for note in sound.notes]

        def finish() -> None:
            with perceived.timed("audio"):
                outputs = pending()
            perceived.features["audio"] = outputs["features"]
            perceived.outputs[graph] = outputs

        return finish

    def _look(
        self, images: Sequence[Image], turn: Turn, recalled: Recalled, perceived: Perceived
    ) -> Callable[[], None]:
        graph = self._encoder("face")
        most = self._modalities["face"].most
        if len(images) == 0:
            raise Unusable("empty")
        if len(images) > most:
            note = f"face: {most} of {len(images)} images are used, evenly spread"
            perceived.degraded.append(note)
        perceived.face_place = recalled.face_place
        crops: list[Pixels] = []
        confidences: list[float] = []
        for place, image in spread(images, most):
            try:
                crop, confidence = self._crop(image, turn, perceived)
            except Unusable as reason:
                perceived.degraded.append(f"face: faces[{place}]: {reason}")
            else:
                crops.append(crop)
                confidences.append(confidence)
        if not crops:
            return lambda: None
        begun = []
        qualities = np.empty(len(crops), np.float32)
        with perceived.timed("face"):
            for shape in dict.fromkeys(crop.shape for crop in crops):  # those of one size at once
                same = [i for i, crop in enumerate(crops) if crop.shape == shape]
                pixels = np.stack([crops[i] for i in same])
                qualities[same] = crop_qualities(pixels)
                begun.append((same, start(self._engine, graph, {"pixels": pixels})))
        perceived.quality["face"] = float(np.mean(np.multiply(qualities, confidences)))

        def finish() -> None:
            features = np.empty((len(crops), self._modalities["face"].width), np.float32)
            with perceived.timed("face"):
                for same, pending in begun:
                    features[same] = pending()["features"]
            perceived.features["face"] = features

        return finish

    def _crop(self, image: Image, turn: Turn, perceived: Perceived) -> tuple[Pixels, float]:
        """The face of one image, and how sure it is that it is one."""
        if not turn.whole_frames:
            with perceived.timed("face"):
                return to_crop(to_rgb(image, turn.colors)), 1.0
        if self._face_finder is None:
            self._face_finder = FaceFinder()
        with perceived.timed("find"):
            face = self._face_finder.find(to_rgb(image, turn.colors), perceived.face_place)
        if face is None:
            raise Unusable("no face found")
        perceived.face_place = face.place
        return to_crop(face.pixels), face.confidence

    def _encoder(self, name: str) -> str:
        graph = self._modalities[name].encoder
        if graph is None:
            raise Unusable("this bundle has no encoder for it")
        return graph
