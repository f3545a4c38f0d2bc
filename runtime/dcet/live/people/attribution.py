"""Says who speaks: the face whose mouth moves while the voice sounds, a voice without a face, or
`unknown` in doubt."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dcet.live.events import UNKNOWN
from dcet.live.people.face_tracker import MOST_PEOPLE, TrackedFace
from dcet.live.people.history import History, Times, mean_between
from dcet.live.people.mouth import MouthMotion
from dcet.live.people.voices import Voices
from dcet.runtime.arrays import Floats
from dcet.runtime.senses.face import Pixels

FIRST_VOICE = "voice 1"
VOICED = 0.5  # probability of a voice from which it counts
BLOCK_US = 333_000  # within which a mouth's movements count once: they are not independent
# A third of a second of a mouth (`mouth.py`) moves TALKS while it talks, and at rest as its own
# pauses show, give or take DEVIATION. The evidence of one is the logarithm of the ratio of both
# densities, up to where one block could settle it alone, and down to how seldom a mouth that talks
# rests: not so seldom, and then for several blocks. A mouth that never rests is no evidence.
TALKS = 0.6
DEVIATION = 0.3
MOST_NATS = 2.5
LEAST_NATS = -1.5  # for each unit that TALKS is above the rest
REST = -0.1  # of a mouth that was not seen at rest yet,
REST_BLOCKS = 3  # which counts like so many blocks of its own
CALM = 0.35  # quantile of a mouth's movements while nobody speaks that is called its rest
DOUBT = 0.8  # confidence below which the answer is `unknown`
UNSEEN = 0.15  # probability, before anything is seen, that the voice has no face in view
LEAST_SEEN = 0.5  # of the voiced time, in which a face must be seen to be judged
CHANGE_NATS = 4.0  # by which two people must explain a turn better than one
SHORTEST_US = 700_000  # part of a turn that is given to another person
CHANGE_MARGIN = 0.15  # by which two pieces of a turn must be more unlike than two voices mostly are
MOST_PIECES = 64  # of voices, kept until their turns are over


@dataclass(frozen=True, slots=True)
class Attributed:
    """Who spoke, and how that was judged."""

    speaker: str  # a name, or `unknown`
    confidence: float  # in [0, 1], that it is this person; of `unknown`, that of the best guess
    track_id: int | None  # of the face, where it was a face's mouth
    reason: str


@dataclass(slots=True, eq=False)
class _Face:
    mouth: MouthMotion = field(default_factory=MouthMotion)
    moved: History = field(default_factory=History)


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """For each block of a turn in which a voice sounds, what speaks for each face."""

    starts_us: Times  # (blocks,)
    nats: dict[int, Floats]  # log-likelihood ratios (blocks,) of talking to resting, NaN if unseen


class Attribution:
    """Judges turns by mouths and voices. One thread at a time; the caller's own knowledge of who
    speaks comes first and is not asked about here.

    voices: tells voices apart; without it, all voices without a face are one person's, `voice 1`
    """

    def __init__(self, voices: Voices | None = None) -> None:
        self._voices = voices
        self.reset()

    def reset(self) -> None:
        """Forget everything heard and seen, and all names."""
        self._faces: dict[int, _Face] = {}
        self._names: dict[int, str] = {}
        self._people = self._strangers = 0  # who were given a name
        self._voice: dict[str, History] = {}  # by microphone
        self._pieces: deque[tuple[int, int, Floats]] = deque(maxlen=MOST_PIECES)
        if self._voices is not None:
            self._voices.reset()

    def see(self, pts_us: int, tracked: Sequence[TrackedFace], frame: Pixels) -> None:
        """Take note of the mouths of the faces of an RGB frame; their boxes may be those found in
        the frame before."""
        for face in tracked:
            known = self._faces.pop(face.track_id, None) or _Face()
            self._faces[face.track_id] = known  # last in the order of who was seen
            moved = known.mouth.update(pts_us, frame, face.found.box)
            if moved is not None:
                # since about a third of a second ago: that counts for the middle of that time
                known.moved.add(pts_us - BLOCK_US // 2, moved)
        while len(self._faces) > MOST_PEOPLE:
            del self._faces[next(iter(self._faces))]

    def hear(self, start_us: int, hop_us: int, voice: Floats, microphone: str = "") -> None:
        """Take note of the probabilities of a voice (n,) in hops from `start_us` on."""
        heard = self._voice.setdefault(microphone, History())
        for number, probability in enumerate(voice):
            heard.add(start_us + number * hop_us + hop_us // 2, float(probability))

    def listen(self, start_us: int, end_us: int, voice: Floats) -> None:
        """Take note of what `Voices.embed` makes (width,) of a piece of a turn, best 1 to 2 s."""
        self._pieces.append((start_us, end_us, voice))

    def who(self, start_us: int, end_us: int) -> Attributed:
        """Return who spoke from `start_us` to `end_us`."""
        by_mouth = self._by_mouth(start_us, end_us)
        pieces = [
            piece for first, last, piece in self._pieces if start_us <= (first + last) / 2 < end_us
        ]
        if self._voices is None:
            return by_mouth
        if not pieces:
            reason = f"{by_mouth.reason}, and the voice was not compared yet"
            is_seen = by_mouth.track_id is not None
            return by_mouth if is_seen else replace(by_mouth, speaker=UNKNOWN, reason=reason)
        return self._by_voice(self._voices, np.mean(pieces, axis=0), by_mouth)

    def change(self, start_us: int, now_us: int) -> int | None:
        """Return when somebody else took over the turn that began at `start_us`; None if nobody."""
        evidence = self._evidence(start_us, now_us)
        shortest = -(-SHORTEST_US // BLOCK_US)
        if len(evidence.starts_us) >= 2 * shortest:
            unseen = np.zeros(len(evidence.starts_us), np.float32)
            nats = np.nan_to_num(np.array([*evidence.nats.values(), unseen]))
            summed = np.cumsum(nats, axis=1)
            before, whole = summed[:, shortest - 1 : -shortest], summed[:, -1:]
            gain = before.max(axis=0) + (whole - before).max(axis=0) - whole.max()
            if gain.max() >= CHANGE_NATS:
                return int(evidence.starts_us[shortest + int(gain.argmax())])
        return self._change_of_voice(start_us, now_us)

    def name_of(self, track_id: int) -> str | None:
        """Return the name that this face was given when it first spoke; None before that."""
        return self._names.get(track_id)

    def forget(self, speaker: str) -> None:
        """Forget the mouth, the voice and the name of this speaker."""
        for track in [track for track, name in self._names.items() if name == speaker]:
            del self._names[track]
            self._faces.pop(track, None)
        if self._voices is not None:
            self._voices.forget(speaker)
            self._pieces.clear()

    def _by_mouth(self, start_us: int, end_us: int) -> Attributed:
        evidence = self._evidence(start_us, end_us)
        least = max(1.0, LEAST_SEEN * len(evidence.starts_us))
        seen = {
            track: float(np.nansum(nats))
            for track, nats in evidence.nats.items()
            if np.isfinite(nats).sum() >= least
        }
        if not seen:
            if evidence.nats:
                return Attributed(UNKNOWN, 0.0, None, "no face was seen for long enough")
            return Attributed(FIRST_VOICE, 1.0, None, "no face was seen")
        weights = np.array([*seen.values(), 0.0])
        weights += np.log([(1 - UNSEEN) / len(seen)] * len(seen) + [UNSEEN])
        shares = np.exp(weights - weights.max())
        shares /= shares.sum()
        best, confidence = int(shares.argmax()), float(shares.max())
        track = [*seen, None][best]
        if confidence < DOUBT:
            return Attributed(UNKNOWN, confidence, track, "no mouth clearly moved with the voice")
        if track is None:
            return Attributed(FIRST_VOICE, confidence, None, "no mouth moved with the voice")
        if track not in self._names:
            self._people += 1
            self._names[track] = f"person {self._people}"
        reason = "this mouth moved with the voice"
        return Attributed(self._names[track], confidence, track, reason)

    def _by_voice(self, voices: Voices, voice: Floats, by_mouth: Attributed) -> Attributed:
        """Return who it is, when it was not only seen but heard whose voice it may be."""
        name, alike = voices.closest(voice)
        if by_mouth.speaker != UNKNOWN and by_mouth.track_id is not None:
            if name != by_mouth.speaker and alike >= voices.same:
                reason = f"the mouth is that of {by_mouth.speaker}, the voice that of {name}"
                return replace(by_mouth, speaker=UNKNOWN, confidence=0.5, reason=reason)
            voices.learn(by_mouth.speaker, voice)
            return by_mouth
        if name is not None and alike >= voices.same:
            tracks = [track for track, known in self._names.items() if known == name]
            voices.learn(name, voice)
            reason = "this voice was heard before"
            return Attributed(name, alike, tracks[0] if tracks else None, reason)
        if by_mouth.speaker == UNKNOWN or alike > voices.other:
            reason = f"{by_mouth.reason}, and the voice is like nobody's for sure"
            return replace(by_mouth, speaker=UNKNOWN, reason=reason)
        self._strangers += 1
        new = f"voice {self._strangers}"
        voices.learn(new, voice)
        return replace(by_mouth, speaker=new, reason=f"{by_mouth.reason}, and the voice is new")

    def _change_of_voice(self, start_us: int, now_us: int) -> int | None:
        pieces = [piece for piece in self._pieces if start_us <= piece[0] and piece[1] <= now_us]
        if self._voices is None or len(pieces) < 2:
            return None
        before, last = np.mean([voice for _, _, voice in pieces[:-1]], axis=0), pieces[-1]
        alike = self._voices.alike(before, last[2])
        return last[0] if alike < self._voices.other - CHANGE_MARGIN else None

    def _evidence(self, start_us: int, end_us: int) -> _Evidence:
        edges_us = np.arange(start_us, max(end_us, start_us + 1) + BLOCK_US // 2, BLOCK_US)
        voiced = self._voice_between(edges_us) >= VOICED
        if not voiced.any():  # the caller says that this is a turn
            voiced[:] = True
        nats = {}
        for track, face in self._faces.items():
            times_us, moved = face.moved.arrays()
            if len(times_us) and start_us <= times_us[-1]:
                ratios = self._ratios(times_us, moved, edges_us)[voiced]
                if np.isfinite(ratios).any():
                    nats[track] = ratios
        return _Evidence(edges_us[:-1][voiced], nats)

    def _voice_between(self, edges_us: Times) -> Floats:
        """Return the mean probability of a voice between each edge and the next, of the microphone
        that hears it best; NaN where none listened."""
        heard = [mean_between(*voice.arrays(), edges_us) for voice in self._voice.values()]
        best: Floats = np.fmax.reduce([np.full(len(edges_us) - 1, np.nan), *heard])
        return best

    def _ratios(self, times_us: Times, moved: Floats, edges_us: Times) -> Floats:
        """Return the log-likelihood ratios of talking to resting in each block."""
        rest = self._rest(times_us, moved)
        apart = max(0.0, TALKS - rest)
        above = mean_between(times_us, moved, edges_us) - (TALKS + rest) / 2
        ratios: Floats = np.clip(above * apart / DEVIATION**2, LEAST_NATS * apart, MOST_NATS)
        return ratios

    def _rest(self, times_us: Times, moved: Floats) -> float:
        """Return how much this mouth seems to move while nobody speaks: it may smile, or chew."""
        edges_us = np.arange(times_us[0], times_us[-1] + BLOCK_US, BLOCK_US)
        voice = self._voice_between(edges_us)
        quiet = mean_between(times_us, moved, edges_us)[voice < VOICED / 2]
        quiet = quiet[np.isfinite(quiet)]
        if len(quiet) == 0:
            return REST
        calm = float(np.quantile(quiet, CALM))
        return (REST_BLOCKS * REST + len(quiet) * calm) / (REST_BLOCKS + len(quiet))
