"""Memories in files: what is saved goes on, and what is not whole is never restored."""

import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcet.runtime import Bundle, Conversation, DcetError
from dcet.runtime.errors import (
    ConfigError,
    InputError,
    MissingExtra,
    SavedMemoryDamaged,
    SavedMemoryError,
    SavedMemoryNotFound,
    SavedMemoryTooNew,
    UnknownSpeaker,
    WrongBundle,
    WrongPassword,
)
from dcet.runtime.saved_memory import Saved, read_saved, write_saved
from tests.runtime.probe import Probe, probed, remembered, states
from tests.runtime.test_encode import answer, said
from tests.runtime.test_extras import hide
from tests.tiny_bundle import WORDS

BANK_BYTES = 4000


def play(conversation: Conversation, seeds: range | list[int]) -> list[dict[str, Any]]:
    """Play turns, with a time in every second; return the estimates."""
    estimates = []
    for seed in seeds:
        at_us = seed * 1_000_000 if seed % 2 else None
        estimates.append(answer(conversation.turn("ABCDE"[seed % 5], **said(seed), at_us=at_us)))
    return estimates


def times(conversation: Conversation) -> list[list[int]]:
    return [conversation.trajectory(name).times_us.tolist() for name in conversation.speakers]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "saved.memory"


# Going on


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 60), max_size=14),
    st.lists(st.integers(0, 60), min_size=1, max_size=8),
    st.sampled_from([0, BANK_BYTES]),
    st.integers(1, 6),
)
def test_a_restored_conversation_goes_on_as_the_saved_one(
    bundle: Bundle, file: Path, before: list[int], after: list[int], bank: int, room: int
) -> None:
    saved = probed(bundle, bank_bytes=bank, max_speakers=room, abstain_below=0.2)
    play(saved, before)
    saved.save(file)
    restored = Conversation.restore(file, bundle, Probe(bundle.engine()))
    assert remembered(restored) == remembered(saved)
    assert times(restored) == times(saved)
    assert restored.abstain_below == saved.abstain_below
    for conversation in (restored, saved):
        if "A" in saved.speakers:
            conversation.forget("A")
    assert play(restored, after) == play(saved, after)
    assert remembered(restored) == remembered(saved)
    assert restored.summary() == saved.summary()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_with_every_engine_and_from_one_to_another(
    tiny_openvino: Path, file: Path, engine: str
) -> None:
    bundle = Bundle.open(tiny_openvino)
    saved = Conversation(bundle, engine)
    play(saved, range(8))
    saved.save(file)
    here, there = (Conversation.restore(file, bundle, e) for e in (engine, "onnxruntime"))
    expected = play(saved, range(8, 14))
    assert play(here, range(8, 14)) == expected
    for found, estimate in zip(play(there, range(8, 14)), expected, strict=True):
        assert found["probabilities"] == pytest.approx(estimate["probabilities"], abs=1e-4)


def test_a_full_trajectory_and_a_full_bank_go_on(bundle: Bundle, file: Path) -> None:
    """Equal episodes too, of which the bank takes those in the first rows."""
    saved = Conversation(bundle, bank_bytes=BANK_BYTES)
    for turn in range(300):
        saved.turn("AB"[turn % 3 == 0], WORDS[4 + turn % 3])
    saved.save(file)
    restored = Conversation.restore(file, bundle)
    for turn in range(300, 340):
        pair = (each.turn("AB"[turn % 3 == 0], WORDS[4 + turn % 3]) for each in (saved, restored))
        one, other = map(answer, pair)
        assert one == other
    assert restored.trajectory("A").as_dict() == saved.trajectory("A").as_dict()


def test_what_is_saved_holds_no_trace_of_who_was_forgotten(bundle: Bundle, file: Path) -> None:
    conversation = probed(bundle, bank_bytes=BANK_BYTES, max_speakers=2)
    for seed, speaker in enumerate(("Annabel", "Ben", "Annabel", "Cem", "Cem")):  # Ben was evicted
        conversation.turn(speaker, WORDS[4 + seed])
    hers = states(conversation, "Annabel")
    anns = [hers[name].tobytes() for name in ("speaker_memory", "speaker_ring", "speaker_estimate")]
    conversation.save(file)
    assert all(state in file.read_bytes() for state in anns)
    conversation.forget("Annabel")
    conversation.save(file)
    held = file.read_bytes()
    assert not any(state in held for state in anns)
    assert b"Annabel" not in held
    assert b"Ben" not in held
    assert b"Cem" in held


def test_restored_is_a_memory_of_its_own(bundle: Bundle, file: Path) -> None:
    saved = probed(bundle)
    play(saved, range(4))
    encoded = saved.encode("A", "happy")
    saved.save(file)
    before = remembered(saved)
    restored = Conversation.restore(file, bundle)
    with pytest.raises(InputError, match="what another one did"):
        restored.turn("A", encoded=encoded)
    restored.reset()
    assert remembered(saved) == before


# One speaker


@pytest.mark.parametrize("password", [None, "Zoë"])
def test_a_speaker_is_known_next_week(bundle: Bundle, file: Path, password: str | None) -> None:
    if password is not None:
        pytest.importorskip("cryptography")
    this, next_ = probed(bundle, bank_bytes=BANK_BYTES), probed(bundle, bank_bytes=BANK_BYTES)
    play(this, range(20))
    this.export_speaker("B", file, password=password)
    play(next_, range(6, 8))  # B and C
    with pytest.raises(InputError, match="expected a speaker who is not here yet, got 'B'"):
        next_.import_speaker(file, password=password)
    assert next_.import_speaker(file, name="Zoe\u0308", password=password) == "Zoë"
    assert next_.speakers == ("B", "C", "Zoë")
    for name, state in states(this, "B").items():
        np.testing.assert_array_equal(states(next_, "Zoë")[name], state)
    was, is_ = this.trajectory("B"), next_.trajectory("Zoë")
    np.testing.assert_array_equal(is_.probabilities, was.probabilities)
    np.testing.assert_array_equal(is_.shift, was.shift)
    assert {*is_.turns, *is_.times_us} == {0, -1}
    assert "Zoë: " in next_.summary().text
    estimate = next_.turn("Zoë", "happy")
    assert (estimate.turn, estimate.shift is None) == (3, False)
    assert next_.trajectory("Zoë").turns[-1] == 3
    assert this.preview("B", "happy").probabilities != estimate.probabilities  # another scene


def test_a_speakers_file_holds_nothing_of_anyone_else(bundle: Bundle, file: Path) -> None:
    conversation = probed(bundle, bank_bytes=BANK_BYTES)
    for turn in range(12):
        conversation.turn(("Annabel", "Benedict")[turn % 2], WORDS[4 + turn], at_us=turn)
    conversation.export_speaker("Annabel", file)
    held = file.read_bytes()
    assert b"Annabel" in held
    assert b"Benedict" not in held
    others = [*states(conversation, "Benedict").values()]
    others += [*states(conversation, "Annabel", "scene").values()]
    bank = conversation._memory.bank
    assert bank is not None
    others += [*bank.read(2)["values"], *bank.read(2)["keys"]]
    floats = {held[i : i + 4] for i in range(len(held))}
    own = {v.tobytes() for a in states(conversation, "Annabel").values() for v in a.ravel()}
    own |= {v.tobytes() for part in ("keys", "values") for v in bank.read(1)[part].ravel()}
    theirs = {value.tobytes() for array in others for value in array.ravel()} - own
    assert len(theirs) > 30
    assert not theirs & floats


def test_the_bank_goes_with_a_speaker_as_far_as_there_is_room(bundle: Bundle, file: Path) -> None:
    source = Conversation(bundle, bank_bytes=BANK_BYTES)
    for turn in range(12):
        source.turn("Ann", WORDS[4 + turn])
    source.export_speaker("Ann", file)
    bank = source._memory.bank
    assert bank is not None
    for others in (0, 20, 60):
        conversation = Conversation(bundle, bank_bytes=BANK_BYTES)
        for turn in range(others):
            conversation.turn("Ben", WORDS[4 + turn % 10])
        there = conversation._memory.bank
        assert there is not None
        bens = len(there.read(1)["rows"]) if others else 0
        conversation.import_speaker(file)
        found = there.read(2 if others else 1)["values"]
        room = len(there._speakers) - 1 - bens
        np.testing.assert_array_equal(found, bank.read(1)["values"][12 - min(12, room) :])
        assert len(there.read(1)["rows"]) == (bens or 12)
        conversation.turn("Ann", "happy")
    without = Conversation(bundle)
    without.import_speaker(file)
    assert without.turn("Ann", "happy").shift is not None


def test_no_one_makes_room_for_who_is_imported(bundle: Bundle, file: Path) -> None:
    conversation = probed(bundle, max_speakers=1)
    conversation.turn("Ann", "happy")
    conversation.export_speaker("Ann", file)
    before = remembered(conversation)
    with pytest.raises(InputError, match="expected room for one more speaker, got 1, the most"):
        conversation.import_speaker(file, name="Ben")
    assert remembered(conversation) == before
    with pytest.raises(UnknownSpeaker):
        conversation.export_speaker("Ben", file)


# Bad files


def resealed(data: bytes) -> bytes:
    """With a checksum that is right."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def test_a_file_altered_anywhere_is_refused(bundle: Bundle, file: Path) -> None:
    saved = Conversation(bundle, bank_bytes=BANK_BYTES)
    play(saved, range(6))
    saved.save(file)
    whole = file.read_bytes()
    draw = random.Random(0)
    places = [
        *range(160),
        *range(len(whole) - 40, len(whole)),
        *draw.sample(range(len(whole)), 200),
    ]
    for place in places:
        altered = bytearray(whole)
        altered[place] ^= 1 << draw.randrange(8)
        file.write_bytes(altered)
        with pytest.raises(SavedMemoryError):
            Conversation.restore(file, bundle)
    file.write_bytes(whole + b"\0")
    with pytest.raises(SavedMemoryDamaged, match="its checksum does not fit"):
        Conversation.restore(file, bundle)


def test_a_file_that_was_cut_is_refused(bundle: Bundle, file: Path) -> None:
    saved = Conversation(bundle)
    play(saved, range(3))
    saved.save(file)
    whole = file.read_bytes()
    for size in [*range(0, 200, 7), *random.Random(0).sample(range(len(whole)), 50)]:
        file.write_bytes(whole[:size])
        with pytest.raises(SavedMemoryDamaged):
            Conversation.restore(file, bundle)
    file.write_bytes(whole[:-1])
    with pytest.raises(SavedMemoryDamaged, match=f"expected {len(whole)} bytes, got .*cut short"):
        Conversation.restore(file, bundle)


Change = Callable[[dict[str, Any], dict[str, Any]], Any]


@pytest.mark.parametrize(
    "change",
    [
        lambda facts, arrays: facts.pop("speakers"),
        lambda facts, arrays: facts.update(speakers=["A", "A"]),
        lambda facts, arrays: facts.update(speakers=["A", 1]),
        lambda facts, arrays: facts.update(speakers=["A", "Zoe\u0308"]),
        lambda facts, arrays: facts.update(turns=-1),
        lambda facts, arrays: facts.update(turns=2**60),
        lambda facts, arrays: facts.update(numbers=1),
        lambda facts, arrays: facts.pop("has_evicted"),
        lambda facts, arrays: facts.update(options=None),
        lambda facts, arrays: facts["options"].update(max_speakers=1),
        lambda facts, arrays: facts["options"].update(more=1),
        lambda facts, arrays: arrays.pop("slot/turns"),
        lambda facts, arrays: arrays.update(more=np.zeros(1, np.float32)),
        lambda facts, arrays: arrays.update({"slot/turns": arrays["slot/turns"] * 0}),
        lambda facts, arrays: arrays.update({"slot/turns": np.ones(2, np.float32)}),
        lambda facts, arrays: arrays.update({"slot/number": np.ones(2, np.int64)}),
        lambda facts, arrays: arrays.update({"state/voice": arrays["state/voice"][..., :3]}),
        lambda facts, arrays: arrays["scene/scene_ring"].fill(np.nan),
        lambda facts, arrays: arrays["bank/rows"].fill(0),
        lambda facts, arrays: arrays["bank/rows"].__iadd__(10**6),
        lambda facts, arrays: arrays["bank/speakers"].fill(7),
    ],
)
def test_what_no_conversation_remembers_is_refused(
    bundle: Bundle, file: Path, change: Change
) -> None:
    """Even with a checksum that is right."""
    saved = Conversation(bundle, bank_bytes=BANK_BYTES)
    play(saved, [0, 1, 5, 6])
    saved.save(file)
    found = read_saved(file, "conversation", bundle.sha256)
    change(found.facts, found.arrays)  # type: ignore[arg-type]
    write_saved(file, found)
    with pytest.raises(SavedMemoryDamaged, match="cannot be of one"):
        Conversation.restore(file, bundle)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ([{"name": "a", "dtype": "|O", "shape": [1]}], "the type of 'a'"),
        ([{"name": "a", "dtype": "<f4", "shape": [-1]}], "the type of 'a'"),
        ([{"name": "a", "dtype": "<f4", "shape": [2**70]}], "its table of contents"),
        ([{"name": "a", "dtype": "<f4"}], "its table of contents"),
        ([{"name": 1, "dtype": "<f4", "shape": [3]}], "the name 1 of an array"),
        ([], "its contents"),
        (None, "its table of contents"),
    ],
)
def test_a_table_of_contents_is_not_believed(file: Path, table: Any, says: str) -> None:
    body = json.dumps({"bundle": "b", "facts": {}, "arrays": table}).encode() + b"\n" + bytes(12)
    head = json.dumps({"kind": "speaker", "size_bytes": len(body)}).encode()
    file.write_bytes(resealed(b"dcet memory 1\n" + head + b"\n" + body + bytes(32)))
    with pytest.raises(SavedMemoryDamaged, match=says):
        read_saved(file, "speaker", "b")


def test_files_of_others(bundle: Bundle, reader: Bundle, file: Path, tmp_path: Path) -> None:
    """Of another bundle, a later version, another kind, and what is no file."""
    saved = probed(bundle)
    play(saved, range(3))
    before = remembered(saved)
    saved.save(file)
    with pytest.raises(WrongBundle, match=f"on this bundle .{reader.sha256[:16]}., got one on"):
        Conversation.restore(file, reader)
    with pytest.raises(SavedMemoryDamaged, match="expected the memory of a speaker, got that of a"):
        saved.import_speaker(file)
    whole = file.read_bytes()
    file.write_bytes(resealed(whole.replace(b"dcet memory 1", b"dcet memory 2", 1)))
    with pytest.raises(SavedMemoryTooNew, match="version 1, got version 2; update dcet"):
        Conversation.restore(file, bundle)
    with pytest.raises(SavedMemoryNotFound, match="No such file"):
        Conversation.restore(tmp_path / "nothing", bundle)
    with pytest.raises(SavedMemoryNotFound, match="Is a directory"):
        saved.import_speaker(tmp_path)
    with pytest.raises(DcetError, match="expected a file"):
        saved.save(tmp_path)
    not_a_path: Any = 1
    for ask in (saved.save, saved.import_speaker, lambda p: saved.export_speaker("A", p)):
        with pytest.raises(ConfigError, match="path: expected a str or a Path, got int"):
            ask(not_a_path)
    with pytest.raises(ConfigError, match="bundle: expected a Bundle, got PosixPath"):
        Conversation.restore(file, tmp_path)  # type: ignore[arg-type]
    assert remembered(saved) == before


def test_a_speakers_file_that_does_not_fit_changes_nothing(bundle: Bundle, file: Path) -> None:
    conversation = probed(bundle, bank_bytes=BANK_BYTES)
    play(conversation, range(6))
    conversation.export_speaker("B", file)
    found = read_saved(file, "speaker", bundle.sha256)
    for name in found.arrays:
        arrays = {**found.arrays, name: found.arrays[name][..., :0]}
        write_saved(file, Saved("speaker", bundle.sha256, found.facts, arrays))
        before = remembered(conversation)
        with pytest.raises(SavedMemoryDamaged):
            conversation.import_speaker(file, name="Zoë")
        assert remembered(conversation) == before
    write_saved(file, Saved("speaker", bundle.sha256, {"speakers": ["A", "B"]}, found.arrays))
    with pytest.raises(SavedMemoryDamaged, match="its speakers"):
        conversation.import_speaker(file)


# Privacy


def test_only_the_owner_may_read_it(conversation: Conversation, file: Path) -> None:
    conversation.save(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_password_hides_all_but_the_size(bundle: Bundle, file: Path) -> None:
    pytest.importorskip("cryptography")
    saved = Conversation(bundle)
    saved.turn("Annabel", "i am angry")
    saved.save(file, password="Zoë")
    held = file.read_bytes()
    assert b"Annabel" not in held
    assert bundle.sha256.encode() not in held
    restored = Conversation.restore(file, bundle, password="Zoe\u0308")
    assert restored.speakers == ("Annabel",)
    saved.save(file, password="Zoë")
    assert file.read_bytes()[120:] != held[120:]  # another salt, another nonce
    with pytest.raises(WrongPassword, match="the password it was saved with, got another"):
        Conversation.restore(file, bundle, password="zoë")
    with pytest.raises(WrongPassword, match="expected a password, got none: the file is encrypted"):
        Conversation.restore(file, bundle)
    altered = bytearray(file.read_bytes())
    altered[len(altered) // 2] ^= 1
    file.write_bytes(resealed(bytes(altered)))
    with pytest.raises(WrongPassword, match="or the file was altered"):
        Conversation.restore(file, bundle, password="Zoë")
    saved.save(file)
    with pytest.raises(WrongPassword, match="expected no password, got one"):
        Conversation.restore(file, bundle, password="Zoë")


@pytest.mark.parametrize("password", ["", 5, b"bytes"])
def test_no_password(conversation: Conversation, file: Path, password: Any) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(ConfigError, match="password: expected a str of at least one character"):
        conversation.save(file, password=password)
    assert not file.exists()


def test_without_the_extra(
    conversation: Conversation, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "cryptography")
    conversation.save(file)  # needs none
    with pytest.raises(MissingExtra, match=r"pip install 'dcet\[private\]'"):
        conversation.save(file, password="Zoë")


# Whole or not at all

SAVING = """
import sys
from dcet.runtime.saved_memory import read_saved, write_saved

path, bundle, *sources = sys.argv[1:]
memories = [read_saved(source, "conversation", bundle) for source in sources]
print("saving", flush=True)
while True:
    for memory in memories:
        write_saved(path, memory)
"""
KILLS = int(os.environ.get("DCET_KILLS", "20"))


def wait_for_another(file: Path) -> None:
    """Wait until another file lies in the place of this one."""
    before = file.stat().st_ino
    while file.stat().st_ino == before:
        time.sleep(0.0005)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it sends SIGKILL")
def test_a_save_that_is_killed_leaves_the_last_whole_file(
    bundle: Bundle, file: Path, tmp_path: Path
) -> None:
    """Two memories of different sizes take turns at one path until they are killed."""
    sources = [tmp_path / "one", tmp_path / "other"]
    for source, count in zip(sources, (3, 40), strict=True):
        conversation = Conversation(bundle, max_speakers=4)
        play(conversation, range(count))
        conversation.save(source)
    whole = {source.read_bytes() for source in sources}
    file.write_bytes(sources[0].read_bytes())
    draw = random.Random(0)
    found = set()
    for _ in range(KILLS):
        arguments = [sys.executable, "-c", SAVING, str(file), bundle.sha256, *map(str, sources)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, encoding="utf-8") as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "saving\n"
            for _ in range(draw.randint(1, 2)):
                wait_for_another(file)
            time.sleep(draw.uniform(0, 0.02))
            child.send_signal(signal.SIGKILL)
        held = file.read_bytes()
        assert held in whole
        found.add(held)
        Conversation.restore(file, bundle)
    assert found == whole
    Conversation(bundle).save(file)
    assert {path.name for path in tmp_path.iterdir()} == {"saved.memory", "one", "other"}
