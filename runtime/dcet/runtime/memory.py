"""The memory of a conversation: a block, allocated once, and an index of what counts in it.

The block is a NumPy record of slots. A slot holds the states of a speaker, and a ring with the last
points of their trajectory; there is one slot more than speakers, and there are two for the scene. A
turn reads the slots of its speaker and of the scene and writes to those that are spare; what it
wrote counts once the index says so, which takes one assignment. So a turn that is interrupted,
wherever that may be, is kept whole or not at all. Nothing grows with turns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from dcet.runtime.arrays import Floats
from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import UnknownSpeaker
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.origin import Origin
from dcet.runtime.senses.appearance import LOOK_WIDTH, Appearance
from dcet.runtime.senses.face_finder import KnownFace
from dcet.runtime.trajectory import Trajectory

TRAJECTORY_TURNS = 256
UNKNOWN_TIME_US = -1

POINT = np.dtype(
    [
        ("turn", np.int64),
        ("time_us", np.int64),  # -1: unknown
        ("probabilities", np.float32, len(EMOTIONS)),
        ("sentiment", np.float32),
        ("shift", np.float32),  # NaN on a speaker's first turn
        ("confidence", np.float32),  # NaN where the bundle has none
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Recalled:
    """The past as the encoders and the step need it. `states` are views: do not keep them."""

    number: int  # the speaker's, from 1
    origin: Origin
    # Of each graph that has some, by its input names: Floats, or DeviceState.
    states: dict[str, dict[str, Any]]
    face: KnownFace | None  # the speaker's, as last found in a frame
    evicted: str | None  # who makes room for this speaker


@dataclass(frozen=True, slots=True)
class Index:
    """The slots of the block that count, after so many turns."""

    slots: Mapping[str, int] = field(default_factory=dict)  # the one unheard for longest first
    spare: int = 0  # the slot that the next turn writes to
    scene: int = 0  # the slot of the scene that counts, 0 or 1; the other one is spare
    turns: int = 0
    numbers: int = 0  # given to speakers so far; exact as float32 up to 16 million
    has_evicted: bool = False


class Arena:
    """The states of speakers and scene in one block; the speaker unheard for longest makes room.

    `draft` writes what a turn brought, and returns the index that makes it count. `index` is to be
    set to that.

    pairs: all states; block: those `on_host`, and the rest of each slot; device: keeps the others
    """

    def __init__(
        self, state: tuple[StatePair, ...], max_speakers: int, engine: Engine | None = None
    ) -> None:
        """Allocate the block, without the step's states where `engine` keeps them on its device."""
        count = max_speakers + 1
        self.pairs = state
        # What the encoders remember stays on the host: they may run ahead of the memory.
        steps = [pair for pair in state if pair.graph == "step"]
        self.device = None if engine is None else engine.keep_states(steps, count)
        if self.device is not None:
            state = tuple(pair for pair in state if pair.graph != "step")
        self.on_host = state
        speakers, scenes = (
            [(pair.input, np.float32, pair.shape) for pair in state if pair.per == owner]
            for owner in ("speaker", "scene")
        )
        slot = np.dtype(
            [
                ("number", np.int64),
                ("turns", np.int64),  # of this speaker; place in the ring, modulo its length
                ("face_place", np.float32, 3),  # zeros: never found
                ("face_look", np.float16, LOOK_WIDTH),
                *speakers,
                ("trajectory", POINT, TRAJECTORY_TURNS),
            ]
        )
        block = np.dtype([("scenes", np.dtype(scenes), 2), ("slots", slot, count)])
        self.block = np.zeros((), block)
        self._scenes, self._slots = self.block["scenes"], self.block["slots"]
        self._blank = np.zeros((), slot)
        self.max_speakers = max_speakers
        self._identity = object()
        self.index = Index()

    def reset(self) -> None:
        """Forget every speaker and the scene."""
        self.block.fill(0)
        if self.device is not None:
            self.device.reset()
        self._identity = object()
        self.index = Index()

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers who are remembered, the one silent for longest first."""
        return tuple(self.index.slots)

    def number(self, speaker: str | None) -> int:
        """Return the number of a speaker who is remembered, or 0."""
        place = self.index.slots.get(speaker) if speaker is not None else None
        return 0 if place is None else int(self._slots[place]["number"])

    def recall(self, speaker: str) -> Recalled:
        """Return the states that this speaker's next turn reads."""
        index = self.index
        place = index.slots.get(speaker)
        slot = self._blank if place is None else self._slots[place]
        number = index.numbers + 1 if place is None else int(slot["number"])
        states: dict[str, dict[str, Any]] = {}
        for pair in self.on_host:
            owner = slot if pair.per == "speaker" else self._scenes[index.scene]
            states.setdefault(pair.graph, {})[pair.input] = owner[pair.input]
        if self.device is not None:
            states["step"] = dict(self.device.recall(place, index.spare, index.scene))
        face = None
        if slot["face_place"].any():
            face = KnownFace(slot["face_place"].copy(), Appearance.from_array(slot["face_look"]))
        is_full = place is None and len(index.slots) == self.max_speakers
        evicted = next(iter(index.slots)) if is_full else None
        known = 0 if place is None else number
        origin = Origin(self._identity, speaker, known, int(slot["turns"]))
        return Recalled(number, origin, states, face, evicted)

    def draft(
        self,
        speaker: str,
        graphs: Mapping[str, Mapping[str, Floats]],
        face: KnownFace | None = None,
        at_us: int | None = None,
    ) -> Index:
        """Write what this speaker's turn gave, the outputs of `step` and of the encoders that ran,
        to the spare slots, and return the index of which they are no longer spare.

        What belongs to an encoder that did not run stays as it was, and so does what is
        remembered of the face where None is given.
        """
        index, following = self.index, self.following(speaker, turns=1)
        place = index.slots.get(speaker)
        self._slots[index.spare] = self._blank if place is None else self._slots[place]
        self._scenes[following.scene] = self._scenes[index.scene]
        slot, scene = self._slots[index.spare], self._scenes[following.scene]
        for pair in self.on_host:
            if pair.graph in graphs:
                owner = slot if pair.per == "speaker" else scene
                owner[pair.input] = graphs[pair.graph][pair.output]
        if place is None:
            slot["number"] = following.numbers
        if face is not None:
            slot["face_place"], slot["face_look"] = face.place, face.look.as_array()
        outputs = graphs["step"]
        point = slot["trajectory"][slot["turns"] % TRAJECTORY_TURNS]
        point["turn"] = following.turns
        point["time_us"] = UNKNOWN_TIME_US if at_us is None else at_us
        point["probabilities"] = outputs["probabilities"][0]
        point["sentiment"] = outputs["sentiment"][0, 0]
        point["shift"] = outputs["shift"][0, 0] if slot["turns"] else np.nan
        point["confidence"] = outputs["confidence"][0, 0] if "confidence" in outputs else np.nan
        slot["turns"] += 1
        return following

    def forget(self, speaker: str) -> None:
        """Zero this speaker's slot, the spare ones, and the scene, which mixes what all have said.

        Raises UnknownSpeaker, unless a speaker was evicted: it may have been this one, of whom only
        the scene and the spare slot hold traces, and they are gone now.
        """
        place = self.index.slots.get(speaker)
        if place is None and not self.index.has_evicted:
            raise self._unknown(speaker)
        places = [self.index.spare] if place is None else [self.index.spare, place]
        for each in places:
            self._slots[each] = self._blank
        self._scenes.fill(0)
        if self.device is not None:
            self.device.forget(places)
        slots = {name: at for name, at in self.index.slots.items() if name != speaker}
        self.index = replace(self.index, slots=slots)

    def following(self, speaker: str, turns: int) -> Index:
        """Return the index after so many more turns, the last of which is this speaker's: the spare
        slot is theirs, and the last to be evicted."""
        index = self.index
        slots = dict(index.slots)
        is_new = speaker not in slots
        evicts = is_new and len(slots) == self.max_speakers
        if evicts:
            spare = slots.pop(next(iter(slots)))
        elif is_new:
            taken = {index.spare, *slots.values()}
            spare = next(place for place in range(len(self._slots)) if place not in taken)
        else:
            spare = slots.pop(speaker)
        return Index(
            slots={**slots, speaker: index.spare},
            spare=spare,
            scene=1 - index.scene if turns else index.scene,
            turns=index.turns + turns,
            numbers=index.numbers + is_new,
            has_evicted=index.has_evicted or evicts,
        )

    def trajectory(self, speaker: str) -> Trajectory:
        """Return a copy of this speaker's last turns. Raises UnknownSpeaker."""
        if speaker not in self.index.slots:
            raise self._unknown(speaker)
        slot = self._slots[self.index.slots[speaker]]
        turns = int(slot["turns"])
        kept = np.arange(max(0, turns - TRAJECTORY_TURNS), turns) % TRAJECTORY_TURNS
        points = slot["trajectory"][kept]
        return Trajectory(
            speaker=speaker,
            turns=points["turn"].copy(),
            times_us=points["time_us"].copy(),
            probabilities=points["probabilities"].copy(),
            sentiment=points["sentiment"].copy(),
            shift=points["shift"].copy(),
            confidence=points["confidence"].copy(),
        )

    def _unknown(self, speaker: str) -> UnknownSpeaker:
        near = get_close_matches(str(speaker), self.index.slots, n=3) or self.speakers[-3:]
        return UnknownSpeaker(
            f"expected a speaker who is still remembered, such as "
            f"{', '.join(map(repr, near)) or '(none has spoken)'}, got {speaker!r}; "
            "max_speakers says how many are remembered"
        )
