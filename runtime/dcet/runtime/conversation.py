"""A conversation: turns in, estimates out, and a memory of every speaker in between."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from numpy.typing import ArrayLike, NDArray

from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.bank import Bank
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import InputError
from dcet.runtime.estimate import Estimate
from dcet.runtime.memory import Arena, Recalled
from dcet.runtime.options import check_bundle, check_engine, check_options
from dcet.runtime.remembering import Remembering
from dcet.runtime.saved_memory import read_saved
from dcet.runtime.senses.encoded import Encoded, check_encoded, timed
from dcet.runtime.senses.encoders import Encoders
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.snapshot import options_of, put
from dcet.runtime.step import Step
from dcet.runtime.turn import Colors, Features, Image, Turn, check_speaker, check_time
from dcet.runtime.whole_memory import Memory

# Less sure, an estimate is right less often than always naming the most common emotion would be
# (42 % of MELD's turns are neutral); a fifth of the turns are, two thirds of them wrong.
ABSTAIN_BELOW = 0.4


class Conversation(Remembering):
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
    Nothing is written to disk unless `save` or `export_speaker` is called. Raises ConfigError,
    MissingExtra or EngineError.
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
        options = check_options(max_speakers, bank_bytes, abstain_below)
        check_bundle(bundle)
        self.engine = bundle.engine(engine) if isinstance(engine, str) else engine
        check_engine(self.engine)
        arena = Arena(bundle.manifest.state, options.max_speakers, self.engine)
        bank = Bank(bundle.manifest, options.bank_bytes) if options.bank_bytes else None
        super().__init__(bundle, Memory(arena, bank), options)
        self._encoders = Encoders(bundle, self.engine, face_finder)
        self._step = Step(bundle.manifest, self.engine, bank, options.abstain_below)

    @classmethod
    def restore(
        cls,
        path: Path | str,
        bundle: Bundle,
        engine: str | Engine = "auto",
        *,
        face_finder: FaceFinder | None = None,
        password: str | None = None,
    ) -> Self:
        """Make a conversation that goes on as the saved one would have: bit for bit, where the
        engine is the same.

        Bundle, engine and face_finder are as in Conversation; other options are the saved one's.
        Raises the SavedMemoryError that says what is wrong with the file, ConfigError, MissingExtra
        or EngineError.
        """
        check_bundle(bundle)
        saved = read_saved(path, "conversation", bundle.sha256, password)
        conversation = cls(bundle, engine, face_finder=face_finder, **options_of(saved.facts))
        put(conversation._memory, saved.facts, saved.arrays)
        return conversation

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
        face_box: ArrayLike | None = None,
        encoded: Encoded | None = None,
        at_us: int | None = None,
    ) -> Estimate:
        """Estimate the emotion of one utterance, and remember it.

        text: what was said, up to 8192 characters
        audio: PCM as int16, float32 or float64 in [-1, 1], shape (n,) or (n, channels); other rates
            than 16 kHz need the extra `audio`
        faces: images in the order in which they were taken, each uint8 of shape (height, width) or
            (height, width, 1, 3 or 4), or the bytes of a picture file, which need the extra `faces`
        colors: the order of the channels of images given as arrays, rgb or bgr
        whole_frames: the images are not cut out around the face; find it, which needs `faces` too
        face_box: where it is in whole frames, if the host knows: left, top, width and height in
            pixels, (4,) for all of them or (n, 4). It is followed from there in later turns
        encoded: what `encode` made of all this, given in its place
        at_us: when the turn was, in microseconds of the host's media time, for `trajectory`

        Each of the three may be Features instead. What cannot be used, such as a frame that is None
        or audio with NaN, is left out, and the turn answered from the rest; `degraded` of the
        estimate says what and why.

        Raises InputError where an argument as a whole is of a wrong type, shape or length,
        EmptyTurn where nothing of the turn can be used, MissingExtra or EngineError.
        """
        started = time.perf_counter()
        turn = Turn(text, audio, faces, sample_rate_hz, colors, whole_frames, face_box)
        check_time(at_us)
        recalled, encoded = self._encoded(speaker, turn, encoded)
        latency_ms = dict(encoded.latency_ms)
        with timed(latency_ms, "step"):
            outputs = self._step.run(recalled, encoded)
            index, rows = self._memory.draft(recalled, encoded, outputs, at_us)
        estimate = self._step.estimate(
            index.turns, recalled, encoded, outputs, latency_ms, encoded.lost(recalled.origin)
        )
        latency_ms["total"] += (time.perf_counter() - started) * 1000
        return self._memory.keep(index, rows, estimate)

    def preview(
        self,
        speaker: str,
        text: str | Features | None = None,
        audio: NDArray[Any] | Features | None = None,
        faces: Sequence[Image] | Features | None = None,
        *,
        sample_rate_hz: float = SAMPLE_RATE_HZ,
        colors: Colors = "rgb",
        whole_frames: bool = False,
        face_box: ArrayLike | None = None,
        encoded: Encoded | None = None,
    ) -> Estimate:
        """Return the estimate that `turn` would, and remember nothing of it.

        However many previews there are, the memory and all later estimates are the same, bit for
        bit. Arguments and errors are those of `turn`.
        """
        started = time.perf_counter()
        turn = Turn(text, audio, faces, sample_rate_hz, colors, whole_frames, face_box)
        recalled, encoded = self._encoded(speaker, turn, encoded)
        latency_ms = dict(encoded.latency_ms)
        with timed(latency_ms, "step"):
            outputs = self._step.run(recalled, encoded)
        estimate = self._step.estimate(self.turns + 1, recalled, encoded, outputs, latency_ms)
        latency_ms["total"] += (time.perf_counter() - started) * 1000
        return estimate

    def encode(
        self,
        speaker: str,
        text: str | Features | None = None,
        audio: NDArray[Any] | Features | None = None,
        faces: Sequence[Image] | Features | None = None,
        *,
        sample_rate_hz: float = SAMPLE_RATE_HZ,
        colors: Colors = "rgb",
        whole_frames: bool = False,
        face_box: ArrayLike | None = None,
        voiced: bool = False,
        after: Encoded | None = None,
    ) -> Encoded:
        """Run the encoders on a turn, or on what there is of it so far, and remember nothing.

        voiced: the audio is known to be a voice: where one sounds is not looked for, nothing is cut
            off at the ends, and audio of exactly one window (3 s) is one window
        after: what was encoded of the same turn so far; the audio and the faces are added to its
            own, the text takes the place of its text. It stays as it is

        `turn(speaker, encoded=encode(speaker, …))` is `turn(speaker, …)`, bit for bit. It holds for
        this speaker until they are forgotten.

        A turn encoded in pieces is close to the same turn at once, and not equal. Its mean, peak,
        quality and margins of silence are those of each piece; windows do not overlap from piece to
        piece, and a piece shorter than a window is two, as a short turn is. A window is heard
        against the speaker's voice with the pieces before in it; at once, all windows are heard
        against the voice before the turn. Of more windows than a turn uses (8) the last count, of
        more faces as many, evenly spread. It is closest where all pieces are whole windows, the
        last one being the last 3 s of the turn (TV 0.05 over 140 turns of 6 to 14 s; 0.11 where the
        last piece is what is left).

        Other arguments and errors are those of `turn`; where nothing can be used, `features` is
        empty and `degraded` says why. Raises InputError where `after` is of another speaker or
        conversation, or of a time before the speaker was forgotten.
        """
        started = time.perf_counter()
        turn = Turn(text, audio, faces, sample_rate_hz, colors, whole_frames, face_box, voiced)
        speaker = check_speaker(speaker)
        turn.check(self.bundle.manifest.modalities)
        recalled = self._memory.arena.recall(speaker)
        if after is not None:
            check_encoded(after, recalled.origin, "after")
        encoded = self._encoders.encode(turn, recalled, after)
        encoded.latency_ms["total"] += (time.perf_counter() - started) * 1000
        return encoded

    def _encoded(
        self, speaker: str, turn: Turn, encoded: Encoded | None
    ) -> tuple[Recalled, Encoded]:
        """Return the speaker's memory, and what the turn is to be answered from. Nothing changes.

        Raises as `turn` does.
        """
        speaker = check_speaker(speaker)
        turn.check(self.bundle.manifest.modalities)
        recalled = self._memory.arena.recall(speaker)
        if encoded is None:
            return recalled, self._encoders.encode(turn, recalled)
        if turn.given:
            raise InputError(
                f"encoded: expected it in the place of text, audio and faces, got "
                f"{', '.join(turn.given)} with it; give that to encode(…, after=encoded)"
            )
        check_encoded(encoded, recalled.origin, "encoded")
        return recalled, encoded
