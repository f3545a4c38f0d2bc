"""Runs a bundle's encoders on what a turn gives: features, and how good their sources are."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.engines.engine import Engine, start
from dcet.runtime.errors import NotFinite
from dcet.runtime.memory import Recalled
from dcet.runtime.senses.audio import cut_windows, prepare_audio
from dcet.runtime.senses.encoded import Encoded, timed
from dcet.runtime.senses.face import Pixels, crop_qualities, spread, to_crop, to_rgb
from dcet.runtime.senses.face_finder import (
    SURE,
    FaceFinder,
    FoundFace,
    KnownFace,
    look_of,
    shared_finder,
    told_face,
)
from dcet.runtime.senses.speech import hear_voice, voiced_part
from dcet.runtime.senses.text import normalise_text, share_known
from dcet.runtime.turn import Features, Image, Turn, Unusable, check_finite, check_sample_rate

if TYPE_CHECKING:
    from dcet.runtime.bundle.bundle import Bundle


class Encoders:
    """The encoders of a bundle. They change nothing but the `Encoded` that they return."""

    def __init__(self, bundle: "Bundle", engine: Engine, face_finder: FaceFinder | None) -> None:
        self._bundle = bundle
        self._engine = engine
        self._face_finder = face_finder
        self._modalities = bundle.manifest.modalities
        self._tokenizer = bundle.tokenizer  # loaded here, so that the first turn need not wait

    def encode(self, turn: Turn, recalled: Recalled, after: Encoded | None = None) -> Encoded:
        """Encode what this bundle can use of a checked turn, and say why not the rest.

        after: what was encoded of the same turn so far

        Encoders run in parallel where the engine can. Raises MissingExtra or EngineError.
        """
        encoded = Encoded(recalled.origin)
        if after is not None:
            recalled = self._going_on(recalled, after)
        begun: list[Callable[[], None]] = []
        for name, given in turn.given.items():
            try:
                if not self._modalities[name].trained:
                    raise Unusable("this model was not trained on it")
                if isinstance(given, Features):
                    encoded.features[name] = _usable(given)
                elif name == "text":
                    begun.append(self._text(given, encoded))
                elif name == "audio":
                    begun.append(self._audio(given, turn, recalled, encoded))
                else:
                    begun.append(self._face(given, turn, recalled, encoded))
            except (Unusable, NotFinite) as reason:
                encoded.degraded.append(f"{name}: {reason}")
        for finish in begun:
            finish()
        return encoded if after is None else after.joined(encoded, turn.given, self._modalities)

    def _going_on(self, recalled: Recalled, after: Encoded) -> Recalled:
        """Put what the encoders remember of the turn so far in the place of what is remembered of
        the speaker."""
        following = {
            graph: {
                pair.input: outputs[pair.output] for pair in self._bundle.manifest.states_of(graph)
            }
            for graph, outputs in after.outputs.items()
        }
        face = recalled.face if after.face is None else after.face
        return replace(recalled, states=recalled.states | following, face=face)

    def _text(self, text: str, encoded: Encoded) -> Callable[[], None]:
        graph = self._encoder("text")
        with timed(encoded.latency_ms, "tokenize"):
            text = normalise_text(text)
            if not text:
                raise Unusable("empty")
            tokens = self._tokenizer.encode(text)
            known = share_known(tokens)
        if known == 0:
            raise Unusable("none of its words is known")
        if tokens.overflowing:
            most = self._bundle.manifest.tokenizer.max_tokens
            encoded.degraded.append(f"text: cut to {most} tokens")
        inputs = {
            "input_ids": np.array([tokens.ids], np.int32),
            "attention_mask": np.array([tokens.attention_mask], np.int32),
        }
        with timed(encoded.latency_ms, "text"):
            pending = start(self._engine, graph, inputs)
        encoded.quality["text"] = known

        def finish() -> None:
            with timed(encoded.latency_ms, "text"):
                encoded.features["text"] = pending()["features"][0]

        return finish

    def _audio(
        self, audio: NDArray[Any], turn: Turn, recalled: Recalled, encoded: Encoded
    ) -> Callable[[], None]:
        graph = self._encoder("audio")
        modality = self._modalities["audio"]
        window_samples = modality.window_samples or 0
        with timed(encoded.latency_ms, "audio"):
            prepared = prepare_audio(
                audio,
                check_sample_rate(turn.sample_rate_hz),
                most_samples=modality.most * window_samples,
            )
        pcm = prepared.pcm if turn.voiced else self._voiced(prepared.pcm, encoded)
        with timed(encoded.latency_ms, "audio"):
            is_window = turn.voiced and len(pcm) == window_samples
            windows = pcm[None] if is_window else cut_windows(pcm, window_samples, modality.most)
            inputs = {"pcm": windows, **recalled.states.get(graph, {})}
            pending = start(self._engine, graph, inputs)
        encoded.quality["audio"] = prepared.quality
        encoded.degraded += [f"audio: {note}" for note in prepared.notes]

        def finish() -> None:
            with timed(encoded.latency_ms, "audio"):
                outputs = pending()
            encoded.features["audio"] = outputs["features"]
            encoded.outputs[graph] = outputs

        return finish

    def _voiced(self, pcm: Floats, encoded: Encoded) -> Floats:
        """Return the part of pcm (n,) in which a voice sounds: all of it where the bundle cannot
        tell. Raises Unusable where there is none."""
        manifest = self._bundle.manifest
        if manifest.speech is None:
            return pcm
        with timed(encoded.latency_ms, "speech"):
            voice = hear_voice(self._engine, manifest, pcm)
            voiced = pcm[voiced_part(voice, manifest.speech, len(pcm))]
        if len(voiced) < len(pcm):
            left_out_s = (len(pcm) - len(voiced)) / SAMPLE_RATE_HZ
            note = f"audio: {left_out_s:.1f} s before or after the voice are left out"
            encoded.degraded.append(note)
        return voiced

    def _face(
        self, images: Sequence[Image], turn: Turn, recalled: Recalled, encoded: Encoded
    ) -> Callable[[], None]:
        graph = self._encoder("face")
        encoded.face = recalled.face
        crops, confidences = self._crops(images, turn, encoded)
        if not crops:
            return lambda: None
        begun = []
        qualities = np.empty(len(crops), np.float32)
        with timed(encoded.latency_ms, "face"):
            for shape in dict.fromkeys(crop.shape for crop in crops):  # those of one size at once
                same = [i for i, crop in enumerate(crops) if crop.shape == shape]
                pixels = np.stack([crops[i] for i in same])
                qualities[same] = crop_qualities(pixels)
                begun.append((same, start(self._engine, graph, {"pixels": pixels})))
        encoded.quality["face"] = float(np.mean(np.multiply(qualities, confidences)))

        def finish() -> None:
            features = np.empty((len(crops), self._modalities["face"].width), np.float32)
            with timed(encoded.latency_ms, "face"):
                for same, pending in begun:
                    features[same] = pending()["features"]
            encoded.features["face"] = features

        return finish

    def _crops(
        self, images: Sequence[Image], turn: Turn, encoded: Encoded
    ) -> tuple[list[Pixels], list[float]]:
        """Return the faces of the images that are used, and the confidence in each."""
        most = self._modalities["face"].most
        if len(images) == 0:
            raise Unusable("empty")
        if len(images) > most:
            note = f"face: {most} of {len(images)} images are used, evenly spread"
            encoded.degraded.append(note)
        crops: list[Pixels] = []
        confidences: list[float] = []
        boxes = None
        if turn.face_box is not None:
            boxes = np.broadcast_to(np.asarray(turn.face_box, np.float32), (len(images), 4))
        for place, image in spread(images, most):
            try:
                box = None if boxes is None else boxes[place]
                crop, confidence = self._crop(image, turn, box, encoded)
            except Unusable as reason:
                encoded.degraded.append(f"face: faces[{place}]: {reason}")
            else:
                crops.append(crop)
                confidences.append(confidence)
        if turn.whole_frames and boxes is None and crops:
            encoded.degraded += [f"face: {note}" for note in self._finder.degraded]
        return crops, confidences

    def _crop(
        self, image: Image, turn: Turn, box: Floats | None, encoded: Encoded
    ) -> tuple[Pixels, float]:
        """Return the face of one image, and the confidence in it."""
        if not turn.whole_frames:
            with timed(encoded.latency_ms, "face"):
                return to_crop(to_rgb(image, turn.colors)), 1.0
        with timed(encoded.latency_ms, "find"):
            frame = to_rgb(image, turn.colors)
            found = self._find(frame, encoded.face) if box is None else told_face(frame, box)
            encoded.face = KnownFace(found.place, look_of(found, frame))
            return to_crop(found.pixels), found.confidence

    def _find(self, frame: Pixels, known: KnownFace | None) -> FoundFace:
        if known is None:
            found = self._finder.find(frame)
        else:
            found = self._finder.find(frame, known.place, known.look)
        if found is None:
            raise Unusable("no face found" if known is None else "the speaker's face is not found")
        if found.confidence < SURE:
            confidence = f"{found.confidence:.2f}; at least {SURE}"
            raise Unusable(f"the face finder is not sure of a face ({confidence})")
        return found

    @property
    def _finder(self) -> FaceFinder:
        return self._face_finder or shared_finder()

    def _encoder(self, name: str) -> str:
        graph = self._modalities[name].encoder
        if graph is None:
            raise Unusable("this bundle has no encoder for it")
        return graph


def _usable(features: Features) -> Floats:
    """Return a copy of the array. Raises Unusable where it is empty, NotFinite where it holds
    NaN."""
    if len(features.array) == 0:
        raise Unusable("empty")
    check_finite(features.array)
    return features.array.copy()
