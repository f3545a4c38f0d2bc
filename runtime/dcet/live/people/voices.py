"""Tells voices apart by an embedding of the speaker, where the extra `voices` is installed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need

SAME, OTHER = 0.55, 0.35  # cosines: of one voice at least, of two at most; between them is doubt
MOST_VOICES = 64  # known; the one heard longest ago is forgotten
MOST_HEARD = 20.0  # pieces that an earlier mean may count for, so that a voice may change slowly

# What sherpa-onnx must find in a model's metadata: without it, it ends the process.
NEEDED = {
    "wespeaker": ("language", "normalize_samples", "output_dim", "sample_rate"),
    "3d-speaker": (
        "feature_normalize_type",
        "language",
        "normalize_samples",
        "output_dim",
        "sample_rate",
    ),
    "nemo": (
        "feat_dim",
        "feature_normalize_type",
        "language",
        "output_dim",
        "sample_rate",
        "window_size_ms",
        "window_stride_ms",
        "window_type",
    ),
}

Embed = Callable[[Floats], Floats]  # pcm (n,) at 16 kHz -> (width,)


class Voices:
    """Voices by name. It lives as long as the session and is never written down.

    embed: a piece of one voice to a vector, such as `speaker_model` gives
    same, other: cosines from which two pieces are of one voice, and up to which they are of two
    """

    def __init__(self, embed: Embed, *, same: float = SAME, other: float = OTHER) -> None:
        self._embed = embed
        self.same, self.other = same, other
        self.reset()

    def reset(self) -> None:
        """Forget all voices."""
        self._known: dict[str, tuple[Floats, float]] = {}  # mean, pieces that it counts for

    def embed(self, pcm: Floats) -> Floats:
        """Return a unit vector (width,) of a piece of one voice, pcm (n,) at 16 kHz."""
        return _unit(self._embed(pcm))

    def alike(self, one: Floats, other: Floats) -> float:
        """Return how alike two pieces are: the cosine."""
        return float(_unit(one) @ _unit(other))

    def closest(self, voice: Floats) -> tuple[str | None, float]:
        """Return whose voice is most like this one, and the cosine; None and -1 with none known."""
        alike = {name: self.alike(voice, mean) for name, (mean, _) in self._known.items()}
        name = max(alike, key=alike.__getitem__, default=None)
        return name, -1.0 if name is None else alike[name]

    def learn(self, name: str, voice: Floats) -> None:
        """Take note that this piece is of that voice."""
        mean, heard = self._known.pop(name, (np.zeros_like(voice), 0.0))
        heard = min(heard, MOST_HEARD)
        self._known[name] = ((heard * mean + _unit(voice)) / (heard + 1), heard + 1)
        if len(self._known) > MOST_VOICES:
            del self._known[next(iter(self._known))]

    def forget(self, name: str) -> None:
        """Forget this voice."""
        self._known.pop(name, None)


def speaker_model(model: Path) -> Embed:
    """Open a speaker model for sherpa-onnx (WeSpeaker, 3D-Speaker or NeMo, as ONNX with its
    metadata), which needs the extra `voices`.

    Raises MissingExtra, or ConfigError where the file is no such model.
    """
    sherpa: Any = need("sherpa_onnx", extra="voices")
    if not model.is_file():
        raise ConfigError(f"{model}: there is no such file; give a speaker model as ONNX")
    metadata = _metadata(model)
    framework = metadata.get("framework")
    if framework not in NEEDED:
        raise ConfigError(
            f"{model}: expected `framework` in its metadata to be one of {', '.join(NEEDED)}, got "
            f"{framework}; scripts that come with sherpa-onnx add it to models"
        )
    missing = [key for key in NEEDED[framework] if key not in metadata]
    if missing:
        raise ConfigError(
            f"{model}: its metadata lacks {', '.join(missing)}; scripts that come with sherpa-onnx "
            "add it to models"
        )
    config = sherpa.SpeakerEmbeddingExtractorConfig(model=str(model), num_threads=1)
    extractor = sherpa.SpeakerEmbeddingExtractor(config)

    def embed(pcm: Floats) -> Floats:
        stream = extractor.create_stream()
        stream.accept_waveform(SAMPLE_RATE_HZ, pcm)
        stream.input_finished()
        return np.array(extractor.compute(stream), np.float32)

    return embed


def _metadata(model: Path) -> dict[str, str]:
    # Imported here: `import dcet.live` loads no engine.
    from dcet.runtime.engines.onnxruntime import CPU, FAILURES, onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(model), providers=[CPU])
    except FAILURES as error:
        raise ConfigError(f"{model}: expected a speaker model as ONNX: {error}") from error
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return metadata


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / max(1e-9, float(np.linalg.norm(vector)))
    return unit
