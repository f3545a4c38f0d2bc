"""What a conversation remembers: one block of memory, allocated once, and names that point into it.

The block is a NumPy record. Each speaker has a slot with their states, and a ring with the last
points of their trajectory; the scene's states lie beside the slots. Nothing grows with turns.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import Floats
from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.engines.protocol import Engine, KeepsStates
from dcet.runtime.errors import UnknownSpeaker
from dcet.runtime.labels import EMOTIONS

TRAJECTORY_TURNS = 256

_POINT = np.dtype(
    [
        ("turn", np.int64),
        ("probabilities", np.float32, len(EMOTIONS)),
        ("sentiment", np.float32),
        ("shift", np.float32),  # NaN on a speaker's first turn
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """The last turns of one speaker, oldest first."""

    speaker: str
    turns: NDArray[np.int64]  # (n,) number of the turn in the conversation, from 1
    probabilities: Floats  # (n, 7) in the order of EMOTIONS
    sentiment: Floats  # (n,) in [-1, 1]
    shift: Floats  # (n,) NaN on the speaker's first turn


@dataclass(frozen=True, slots=True, eq=False)
class Recalled:
    """What the step needs to know about the past. `states` are views: do not keep them."""

    number: int  # the speaker's, from 1
    is_first: bool  # nothing was said by this speaker yet
    # Of each graph that has some, by its input names: Floats, or DeviceState.
    states: dict[str, dict[str, Any]]
    face_place: Floats | None  # (3,) where the speaker's face was last seen, as FoundFace.place


class Arena:
    """The states of speakers and scene in one block; the speaker unheard for longest makes room.

    Only `commit` writes what a turn brought, so a turn that failed before it changes nothing.
    """

    def __init__(
        self, state: tuple[StatePair, ...], max_speakers: int, engine: Engine | None = None
    ) -> None:
        """engine: that may keep the states on its device; else they are in the block"""
        self._device = (
            engine.keep_states(state, max_speakers) if isinstance(engine, KeepsStates) else None
        )
        self._state = state = state if self._device is None else ()
        speakers, scenes = (
            [(pair.input, np.float32, pair.shape) for pair in state if pair.per == owner]
            for owner in ("speaker", "scene")
        )
        slot = np.dtype(
            [
                ("number", np.int64),
                ("turns", np.int64),  # heard of this speaker; place in the ring, modulo its length
                ("face_place", np.float32, 3),  # zeros: never seen
                *speakers,
                ("trajectory", _POINT, TRAJECTORY_TURNS),
            ]
        )
        scene = np.dtype(scenes)
        self.block = np.empty((), np.dtype([("scene", scene), ("slots", slot, max_speakers)]))
        self._scene, self._slots = self.block["scene"], self.block["slots"]
        self._blank = np.zeros((), slot)
        self._places: OrderedDict[str, int] = OrderedDict()  # the one unheard for longest is first
        self.reset()

    def reset(self) -> None:
        """Forget everybody and everything."""
        self.block.fill(0)
        if self._device is not None:
            self._device.reset()
        self._places.clear()
        self._free = list(range(len(self._slots)))
        self._numbers = 0  # given so far; exact as float32 up to 16 million speakers
        self._has_evicted = False

    @property
    def speakers(self) -> tuple[str, ...]:
        """Who is remembered, the one unheard for longest first."""
        return tuple(self._places)

    def recall(self, speaker: str) -> Recalled:
        """The states that this speaker's next turn reads."""
        place = self._places.get(speaker)
        slot = self._blank if place is None else self._slots[place]
        number = self._numbers + 1 if place is None else int(slot["number"])
        states: dict[str, dict[str, Any]] = {}
        for pair in self._state:
            owner = slot if pair.per == "speaker" else self._scene
            states.setdefault(pair.graph, {})[pair.input] = owner[pair.input]
        if self._device is not None:
            states.update(self._device.recall(place))
        place_seen = slot["face_place"].copy() if slot["face_place"].any() else None
        return Recalled(number, slot["turns"] == 0, states, place_seen)

    def commit(
        self,
        speaker: str,
        turn: int,
        graphs: Mapping[str, Mapping[str, Floats]],
        face_place: Floats | None = None,
    ) -> None:
        """Keep what this speaker's turn gave: the outputs of `step` and of the encoders that ran.

        What belongs to an encoder that did not run stays as it was, and so does the place of the
        face where None is given.
        """
        outputs = graphs["step"]
        place = self._place(speaker)
        slot = self._slots[place]
        if self._device is not None:
            self._device.commit(place, graphs)
        for pair in self._state:
            if pair.graph in graphs:
                owner = slot if pair.per == "speaker" else self._scene
                owner[pair.input] = graphs[pair.graph][pair.output]
        if face_place is not None:
            slot["face_place"] = face_place
        point = slot["trajectory"][slot["turns"] % TRAJECTORY_TURNS]
        point["turn"] = turn
        point["probabilities"] = outputs["probabilities"][0]
        point["sentiment"] = outputs["sentiment"][0, 0]
        point["shift"] = outputs["shift"][0, 0] if slot["turns"] else np.nan
        slot["turns"] += 1

    def forget(self, speaker: str) -> None:
        """Zero this speaker's slot, and the scene, in which everybody's words are mixed.

        Raises UnknownSpeaker, unless somebody was evicted: it may have been this speaker, of whom
        only the scene holds traces, and they are gone now.
        """
        if speaker in self._places:
            self._release(speaker)
        elif not self._has_evicted:
            raise self._unknown(speaker)
        self._scene.fill(0)
        if self._device is not None:
            self._device.forget_scene()

    def trajectory(self, speaker: str) -> Trajectory:
        """A copy of this speaker's last turns. Raises UnknownSpeaker."""
        if speaker not in self._places:
            raise self._unknown(speaker)
        slot = self._slots[self._places[speaker]]
        turns = int(slot["turns"])
        kept = np.arange(max(0, turns - TRAJECTORY_TURNS), turns) % TRAJECTORY_TURNS
        points = slot["trajectory"][kept]
        return Trajectory(
            speaker=speaker,
            turns=points["turn"].copy(),
            probabilities=points["probabilities"].copy(),
            sentiment=points["sentiment"].copy(),
            shift=points["shift"].copy(),
        )

    def _place(self, speaker: str) -> int:
        """The speaker's slot, now the last to be evicted."""
        if speaker not in self._places:
            if not self._free:
                self._release(next(iter(self._places)))
                self._has_evicted = True
            self._places[speaker] = self._free.pop()
            self._numbers += 1
            self._slots[self._places[speaker]]["number"] = self._numbers
        self._places.move_to_end(speaker)
        return self._places[speaker]

    def _release(self, speaker: str) -> None:
        place = self._places.pop(speaker)
        self._slots[place] = self._blank
        if self._device is not None:
            self._device.forget(place)
        self._free.append(place)

    def _unknown(self, speaker: str) -> UnknownSpeaker:
        near = get_close_matches(str(speaker), self._places, n=3) or self.speakers[-3:]
        return UnknownSpeaker(
            f"expected somebody who spoke and is still remembered, such as "
            f"{', '.join(map(repr, near)) or '(nobody yet)'}, got {speaker!r}; "
            "max_speakers says how many are remembered"
        )
