"""The block that a conversation remembers in: what is in it, byte by byte."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from dcet.runtime.bundle.manifest import StatePair
from dcet.runtime.errors import UnknownSpeaker
from dcet.runtime.memory import Arena
from dcet.runtime.senses.appearance import LOOK_WIDTH, Appearance
from dcet.runtime.senses.face_finder import KnownFace


def pair(name: str, per: Literal["speaker", "scene"], graph: str) -> StatePair:
    return StatePair(
        input=name, output=f"next_{name}", shape=(1, 5), dtype="float32", per=per, graph=graph
    )


PAIRS = (
    pair("memory", "speaker", "step"),
    pair("voice", "speaker", "audio"),
    pair("scene", "scene", "step"),
)


class Talk:
    """An arena, and turns of random numbers that are never the same."""

    def __init__(self, max_speakers: int = 4) -> None:
        self.arena = Arena(PAIRS, max_speakers)
        self.rng = np.random.default_rng(0)
        self.said: dict[str, list[NDArray[Any]]] = {}

    def say(self, speaker: str, *, keep: bool = True, with_audio: bool = True) -> None:
        def made(*shape: int) -> NDArray[Any]:
            array = self.rng.uniform(0.1, 1, shape).astype(np.float32)
            self.said.setdefault(speaker, []).append(array)
            return array

        step = {name: made(1, 5) for name in ("next_memory", "next_scene")}
        step |= {"probabilities": made(1, 7), "sentiment": made(1, 1), "shift": made(1, 1)}
        graphs = {"step": step}
        if with_audio:
            graphs["audio"] = {"next_voice": made(1, 5)}
        face = KnownFace(made(3), Appearance.from_array(made(LOOK_WIDTH)))
        index = self.arena.draft(speaker, graphs, face)
        if keep:
            self.arena.index = index

    def traces(self, speaker: str) -> set[bytes]:
        """The numbers that only this speaker brought and that are still in the block."""
        block = self.arena.block.tobytes()
        found = {block[i : i + 4] for i in range(0, len(block), 4)}
        return found & {value.tobytes() for array in self.said[speaker] for value in array.ravel()}

    def states(self, speaker: str) -> list[float]:
        recalled = self.arena.recall(speaker).states
        return [
            value
            for graph, name in (("step", "memory"), ("audio", "voice"))
            for value in recalled[graph][name].ravel().tolist()
        ]


def test_what_was_drafted_counts_once_the_index_says_so() -> None:
    talk = Talk()
    talk.say("Ann")
    before, index = talk.states("Ann"), talk.arena.index
    for speaker in ("Ann", "Ben"):
        talk.say(speaker, keep=False)
        assert talk.arena.index is index
        assert talk.states("Ann") == before
        assert talk.arena.speakers == ("Ann",)
    talk.say("Ann")
    assert talk.states("Ann") != before
    assert talk.arena.trajectory("Ann").turns.tolist() == [1, 2]


def test_the_state_of_a_graph_that_did_not_run_stays() -> None:
    talk = Talk()
    talk.say("Ann")
    voice = talk.states("Ann")[5:]
    assert any(voice)
    talk.say("Ann", with_audio=False)
    assert talk.states("Ann")[5:] == voice


@pytest.mark.parametrize("fails", [False, True])
def test_forgetting_leaves_no_byte(fails: bool) -> None:
    """No byte is left even of a turn that failed; the other's own memory is as it was."""
    talk = Talk()
    for speaker in ("Ben", "Ann", "Ann", "Ben"):
        talk.say(speaker)
    if fails:
        talk.say("Ann", keep=False)
    bens = talk.states("Ben"), talk.arena.trajectory("Ben").probabilities.tolist()
    assert len(talk.traces("Ann")) > 20
    talk.arena.forget("Ann")
    assert talk.traces("Ann") == set()
    assert (talk.states("Ben"), talk.arena.trajectory("Ben").probabilities.tolist()) == bens
    assert not talk.arena.recall("Ben").states["step"]["scene"].any()
    assert "Ann" not in repr(vars(talk.arena))


def test_forgetting_the_only_speaker_leaves_zeros() -> None:
    talk = Talk()
    for _ in range(3):
        talk.say("Ann")
    talk.arena.forget("Ann")
    assert not any(talk.arena.block.tobytes())


def test_an_evicted_speaker_leaves_no_byte_after_one_more_turn_or_when_forgotten() -> None:
    for forget in (False, True):
        talk = Talk(max_speakers=1)
        talk.say("Ann")
        assert talk.arena.recall("Ben").evicted == "Ann"
        talk.say("Ben")
        assert talk.arena.speakers == ("Ben",)
        if forget:
            talk.arena.forget("Ann")
        else:
            talk.say("Ben")
        assert talk.traces("Ann") == set()
        assert any(talk.states("Ben"))


def test_reset_leaves_zeros() -> None:
    talk = Talk(max_speakers=2)
    for speaker in ("Ann", "Ben", "Cem"):
        talk.say(speaker)
    talk.arena.reset()
    assert not any(talk.arena.block.tobytes())
    assert talk.arena.speakers == ()
    with pytest.raises(UnknownSpeaker):
        talk.arena.forget("Ann")


def test_every_speaker_has_a_slot_of_their_own() -> None:
    talk = Talk(max_speakers=3)
    rng = np.random.default_rng(1)
    for turn in range(200):
        speaker = "ABCDE"[rng.integers(5)]
        if turn % 17 == 16 and speaker in talk.arena.speakers:
            talk.arena.forget(speaker)
        talk.say(speaker)
        index = talk.arena.index
        places = [*index.slots.values(), index.spare]
        assert len(set(places)) == len(places) <= 4
        assert talk.arena.speakers[-1] == speaker


def test_the_block_is_allocated_once() -> None:
    talk = Talk(max_speakers=2)
    address = talk.arena.block.ctypes.data
    for turn in range(600):
        talk.say("ABC"[turn % 3])
    assert talk.arena.block.ctypes.data == address
