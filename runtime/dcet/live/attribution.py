"""Says who speaks: the face whose mouth moves while the voice sounds, a voice without a face, or
`unknown` in doubt."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dcet.live.face_tracker import MOST_PEOPLE, TrackedFace
from dcet.live.mouth import MouthMotion
from dcet.runtime.arrays import Floats
from dcet.runtime.senses.face import Pixels

UNKNOWN = "unknown"
VOICED = 0.5  # probability of a voice from which a hop counts
BLOCK_US = 333_000  # within which a mouth's movements count once: they are not independent
HISTORY_US = 120_000_000  # of voice and mouths that is kept
# Of two talking heads, a third of a second of a mouth is 0.7 while it talks and -0.1 at rest, both
# give or take 0.35 (`mouth.py`): its evidence is linear, and no block settles it alone.
MIDDLE = 0.3
NATS = 6.5  # for each unit above
MOST_NATS = 2.0
DOUBT = 0.8  # confidence below which the answer is `unknown`
OFF_SCREEN = 0.15  # probability, before anything is seen, that the voice has no face in view
LEAST_SEEN = 0.5  # of the voiced time, in which a face must be seen to be judged
CHANGE_NATS = 4.0  # by which two people must explain a turn better than one
SHORTEST_US = 700_000  # part of a turn that is given to another person


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
    seen_us: deque[int] = field(default_factory=deque)
    moved: deque[float] = field(default_factory=deque)


class Attribution:
    """Judges turns by mouths and voice. One thread at a time; the caller's own knowledge of who
    speaks comes first and is not asked about here."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything heard and seen, and all names."""
        self._faces: dict[int, _Face] = {}
        self._names: dict[int, str] = {}
        self._named = 0
        self._voice: deque[tuple[int, int, float]] = deque()  # start, end, probability

    def see(self, pts_us: int, tracked: Sequence[TrackedFace], frame: Pixels) -> None:
        """Take note of the mouths of the faces of an RGB frame; their boxes may be those found in
        the frame before."""
        for face in tracked:
            known = self._faces.pop(face.track_id, None) or _Face()
            self._faces[face.track_id] = known  # last in the order of who was seen
            moved = known.mouth.update(pts_us, frame, face.found.box)
            if moved is None:
                continue
            known.seen_us.append(pts_us)
            known.moved.append(moved)
            while abs(pts_us - known.seen_us[0]) > HISTORY_US:
                known.seen_us.popleft()
                known.moved.popleft()
        while len(self._faces) > MOST_PEOPLE:
            del self._faces[next(iter(self._faces))]

    def hear(self, start_us: int, hop_us: int, voice: Floats) -> None:
        """Take note of the probabilities of a voice (n,) in hops from `start_us` on."""
        for number, probability in enumerate(voice):
            begin_us = start_us + number * hop_us
            self._voice.append((begin_us, begin_us + hop_us, float(probability)))
        while self._voice and abs(self._voice[-1][0] - self._voice[0][0]) > HISTORY_US:
            self._voice.popleft()

    def who(self, start_us: int, end_us: int) -> Attributed:
        """Return who spoke from `start_us` to `end_us`."""
        blocks = self._voiced_blocks(start_us, end_us)
        evidence = {track: self._evidence(face, blocks) for track, face in self._faces.items()}
        seen = {
            track: nats
            for track, nats in evidence.items()
            if np.isfinite(nats).sum() >= max(1.0, LEAST_SEEN * len(blocks))
        }
        if not seen:
            if any(np.isfinite(nats).any() for nats in evidence.values()):
                return Attributed(UNKNOWN, 0.0, None, "no face was seen for long enough")
            return self._without_a_face("no face was seen", 1.0)
        prior = (1 - OFF_SCREEN) / len(seen)
        log_odds = {track: float(np.nansum(nats)) for track, nats in seen.items()}
        weights = np.array(
            [*(np.log(prior) + np.array(list(log_odds.values()))), np.log(OFF_SCREEN)]
        )
        shares = np.exp(weights - weights.max())
        shares /= shares.sum()
        best = int(shares.argmax())
        confidence = float(shares[best])
        if best == len(seen):
            if confidence < DOUBT:
                return Attributed(UNKNOWN, confidence, None, "a mouth may have moved")
            return self._without_a_face("no mouth moved with the voice", confidence)
        track = list(seen)[best]
        if confidence < DOUBT:
            return Attributed(UNKNOWN, confidence, track, "no mouth clearly moved with the voice")
        return Attributed(self._name(track), confidence, track, "this mouth moved with the voice")

    def change(self, start_us: int, now_us: int) -> int | None:
        """Return when somebody else took over the turn that began at `start_us`; None if nobody."""
        blocks = self._voiced_blocks(start_us, now_us)
        shortest = -(-SHORTEST_US // BLOCK_US)
        if len(blocks) < 2 * shortest:
            return None
        nats = [np.nan_to_num(self._evidence(face, blocks)) for face in self._faces.values()]
        summed = np.cumsum(np.array([*nats, np.zeros(len(blocks))]), axis=1)
        before, whole = summed[:, shortest - 1 : -shortest], summed[:, -1:]
        gain = before.max(axis=0) + (whole - before).max(axis=0) - whole.max()
        best = int(gain.argmax())
        if gain[best] < CHANGE_NATS:
            return None
        return int(blocks[shortest + best][0])

    def name_of(self, track_id: int) -> str | None:
        """Return the name that this face was given when it first spoke; None before that."""
        return self._names.get(track_id)

    def forget(self, speaker: str) -> None:
        """Forget the mouth and the name of this speaker."""
        for track in [track for track, name in self._names.items() if name == speaker]:
            del self._names[track]
            self._faces.pop(track, None)

    def _name(self, track: int) -> str:
        if track not in self._names:
            self._named += 1
            self._names[track] = f"person {self._named}"
        return self._names[track]

    def _without_a_face(self, reason: str, confidence: float) -> Attributed:
        return Attributed("voice 1", confidence, None, reason)

    def _voiced_blocks(self, start_us: int, end_us: int) -> list[tuple[int, int]]:
        """Return the thirds of a second of a turn in which a voice sounds for half of the time; all
        of them where none was heard, since the caller says that this is a turn."""
        edges = range(start_us, max(end_us, start_us + 1), BLOCK_US)
        blocks = [(begin, min(begin + BLOCK_US, end_us)) for begin in edges]
        hops = np.array(self._voice, np.float64).reshape(-1, 3)
        middles, voiced = hops[:, :2].mean(axis=1), hops[:, 2] >= VOICED
        kept = []
        for begin, end in blocks:
            inside = (middles >= begin) & (middles < end)
            if inside.any() and voiced[inside].mean() >= 0.5:
                kept.append((begin, end))
        return kept or blocks

    def _evidence(self, face: _Face, blocks: Sequence[tuple[int, int]]) -> Floats:
        """Return for each block the log-likelihood ratio of speaking to resting, NaN if unseen."""
        seen_us, moved = np.array(face.seen_us, np.float64), np.array(face.moved)
        nats = np.full(len(blocks), np.nan)
        for number, (begin, end) in enumerate(blocks):
            # a movement is that since about a third of a second ago
            inside = (seen_us >= begin + BLOCK_US / 2) & (seen_us < end + BLOCK_US / 2)
            if inside.any():
                ratio = NATS * (moved[inside].mean() - MIDDLE)
                nats[number] = np.clip(ratio, -MOST_NATS, MOST_NATS)
        return nats
