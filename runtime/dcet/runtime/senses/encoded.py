"""What was encoded of a turn: features, and how good their sources are."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.bundle.manifest import Modality
from dcet.runtime.errors import WrongDtype
from dcet.runtime.labels import MODALITIES
from dcet.runtime.origin import Origin
from dcet.runtime.senses.face import spread
from dcet.runtime.senses.face_finder import KnownFace

STAGES = ("tokenize", "text", "speech", "audio", "find", "face", "step", "total")


@contextmanager
def timed(latency_ms: dict[str, float], stage: str) -> Iterator[None]:
    """Add what the block takes to the stage."""
    started = time.perf_counter()
    try:
        yield
    finally:
        latency_ms[stage] += (time.perf_counter() - started) * 1000


@dataclass(slots=True, eq=False)
class Encoded:
    """A turn, or what there is of it so far, as `Conversation.encode` made it; not to be changed.

    features: by modality, those that can be used: text (width,), audio and face (n, width)
    quality, degraded, latency_ms: as in Estimate; the step is still to come

    The other fields are the conversation's own. Audio is in it as features and as statistics of the
    voice, never as sound.
    """

    origin: Origin
    features: dict[str, Floats] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 1.0))
    degraded: list[str] = field(default_factory=list)
    latency_ms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    outputs: dict[str, dict[str, Floats]] = field(default_factory=dict)  # of each encoder that ran
    face: KnownFace | None = None  # the speaker's, as last found in a frame
    faces: Floats | None = None  # (n, width), where those of `features` are but some of them

    def lost(self, now: Origin) -> list[str]:
        """Say what is lost where it is remembered after another turn of the speaker."""
        if not self.outputs or self.origin.turns == now.turns:
            return []
        return ["audio: what the speaker sounded like in turns since it was encoded is left out"]

    def joined(
        self, piece: "Encoded", given: Collection[str], modalities: Mapping[str, Modality]
    ) -> "Encoded":
        """Return this and the next piece of the same turn as one.

        given: the modalities that the piece was given: its text takes the place of this one's. Of
            too many windows the last are kept; of too many faces, some that are evenly spread.
        """
        both = replace(
            piece,
            origin=self.origin,
            features=dict(self.features),
            quality=dict(self.quality),
            degraded=self.degraded,
            latency_ms={name: self.latency_ms[name] + piece.latency_ms[name] for name in STAGES},
            outputs=self.outputs | piece.outputs,
            face=self.face if piece.face is None else piece.face,
            faces=self.faces,
        )
        if "text" in given:
            both.features.pop("text", None)
            both.quality["text"] = piece.quality["text"]
            both.degraded = [note for note in self.degraded if not note.startswith("text:")]
        both.degraded = list(dict.fromkeys(both.degraded + piece.degraded))
        before = self.features if self.faces is None else self.features | {"face": self.faces}
        for name, array in piece.features.items():
            if name == "text" or name not in before:
                both.features[name], both.quality[name] = array, piece.quality[name]
                continue
            shares = len(before[name]), len(array)
            qualities = self.quality[name], piece.quality[name]
            both.quality[name] = float(np.average(qualities, weights=shares))
            array, most = np.concatenate([before[name], array]), modalities[name].most
            if name == "face":
                both.faces = array
                both.features[name] = array[[place for place, _ in spread(range(len(array)), most)]]
            else:
                both.features[name] = array[-most:]
        return both


def check_encoded(encoded: Encoded, now: Origin, where: str) -> None:
    """Check that `encoded` is of the speaker of `now` and of that memory. Raises InputError."""
    if not isinstance(encoded, Encoded):
        raise WrongDtype(
            f"{where}: expected what Conversation.encode returned, got {type(encoded).__name__}"
        )
    encoded.origin.check(now, where)
