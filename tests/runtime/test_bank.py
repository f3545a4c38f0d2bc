"""The long-term bank: what it finds, what it forgets, and what it never holds."""

import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dcet.runtime import Bundle, Conversation
from dcet.runtime.bank import MAX_BANK_BYTES, Bank, episode_key
from dcet.runtime.errors import ConfigError, EmptyTurn, MissingExtra
from dcet.synthetic.probes import speech
from tests.runtime.probe import probed, remembered
from tests.runtime.signals import face
from tests.tiny_bundle import MAX_TOKENS, WIDTH, WORDS

Array = NDArray[Any]

KEY_WIDTH = WIDTH + 3 + 4  # text, audio and face of the tiny bundle
ROW_BYTES = (KEY_WIDTH + WIDTH) * 4 + 8
RING, FOUND = 2, 2  # turns in the tiny bundle's ring, and episodes that its step takes
LEAST_BYTES = (RING + 2) * ROW_BYTES


class Episode(NamedTuple):
    """A turn, as the plain model of a bank keeps it."""

    speaker: int
    key: Array
    value: Array


def random_features(rng: np.random.Generator) -> dict[str, Array]:
    """Of text, and of others or not: no two are equally like a third."""
    given = {
        "text": rng.standard_normal(WIDTH, np.float32),
        "audio": rng.standard_normal((rng.integers(1, 9), 3), np.float32),
        "face": rng.standard_normal((rng.integers(1, 9), 4), np.float32),
    }
    return {name: given[name] for name in given if name == "text" or rng.uniform() < 0.5}


def whole(bank: Bank) -> bytes:
    return b"".join(part.tobytes() for part in (bank._keys, bank._values, bank._speakers))


@given(st.integers(0, 2**32 - 1), st.integers(RING + 2, 12))
def test_it_finds_what_brute_force_finds(bundle: Bundle, seed: int, rows: int) -> None:
    """Of the same speaker, beyond the ring, in the order of likeness; the oldest made room."""
    rng = np.random.default_rng(seed)
    bank, plain = Bank(bundle.manifest, rows * ROW_BYTES + 7), list[Episode]()
    for _ in range(40):
        speaker, features = int(rng.integers(1, 4)), random_features(rng)
        key = episode_key(bundle.manifest.modalities, features)
        theirs = [episode for episode in plain if episode.speaker == speaker][:-RING]
        best = sorted(theirs, key=lambda episode: -float(episode.key @ key))[:FOUND]
        fed = bank.recall(speaker, features)
        assert fed["episodes_mask"].tolist() == [[float(i < len(best)) for i in range(FOUND)]]
        np.testing.assert_array_equal(
            fed["episodes"][0],
            [episode.value for episode in best] + [np.zeros(WIDTH)] * (FOUND - len(best)),
        )
        what = rng.uniform()
        if what < 0.1:
            bank.forget(speaker)
            plain = [episode for episode in plain if episode.speaker != speaker]
            continue
        evicted = int(rng.integers(1, 4)) if what < 0.2 else 0
        ring = rng.standard_normal((1, RING, WIDTH), np.float32)
        kept = bank.draft(speaker, features, {"next_speaker_ring": ring}, evicted)
        if what > 0.9:  # the turn failed
            continue
        bank.rows = kept
        plain = [episode for episode in plain if episode.speaker != evicted]
        plain = [*plain, Episode(speaker, key, ring[0, -1])][-(rows - 1) :]
        held = bank._keys.nbytes + bank._values.nbytes + bank._speakers.nbytes
        assert held == rows * ROW_BYTES
        assert bank._index.ntotal == rows


def test_a_key_is_of_unit_length_whatever_is_there(bundle: Bundle) -> None:
    modalities = bundle.manifest.modalities
    loud = {"text": np.full(WIDTH, 50, np.float32), "face": np.eye(4, dtype=np.float32)[:2]}
    key = episode_key(modalities, loud)
    assert np.linalg.norm(key) == pytest.approx(1)
    assert np.linalg.norm(key[:WIDTH]) == pytest.approx(0.5**0.5)
    assert key[WIDTH : WIDTH + 3].tolist() == [0, 0, 0]
    assert not episode_key(modalities, {"text": np.zeros(WIDTH, np.float32)}).any()


Script = list[tuple[str, str]]
scripts = st.lists(
    st.tuples(st.sampled_from(["Ann", "Ben"]), st.sampled_from(WORDS[4:])), min_size=1, max_size=16
)


@given(scripts)
def test_the_same_turns_give_the_same_estimates(bundle: Bundle, script: Script) -> None:
    first, second = (Conversation(bundle, bank_bytes=4000) for _ in range(2))
    for speaker, text in script:
        expected = first.turn(speaker, text).probabilities
        assert second.turn(speaker, text).probabilities == expected


def test_it_matters_once_a_turn_has_left_the_ring(bundle: Bundle) -> None:
    without, with_ = Conversation(bundle), Conversation(bundle, bank_bytes=4000)
    for number in range(RING + 3):
        for speaker in ("Ann", "Ben"):  # who has turns, and a ring, of their own
            plain, reminded = (each.turn(speaker, WORDS[4 + number]) for each in (without, with_))
            assert (plain.probabilities != reminded.probabilities) == (number > RING)


def played(bundle: Bundle, **options: Any) -> Conversation:
    conversation = probed(bundle, bank_bytes=4000, **options)
    for number in range(12):
        pictures = [face(seed=number)] if number % 4 == 1 else None
        conversation.turn("Ann Ben".split()[number % 2], WORDS[4 + number], faces=pictures)
    return conversation


def bank_of(conversation: Conversation) -> Bank:
    assert conversation._memory.bank is not None
    return conversation._memory.bank


def test_forgetting_leaves_no_byte(bundle: Bundle) -> None:
    conversation = played(bundle)
    bank = bank_of(conversation)
    anns = bank._speakers == 1
    floats = np.concatenate([bank._keys[anns], bank._values[anns]], axis=1).ravel()
    hers = {number.tobytes() for number in floats[floats != 0]}
    bens = bank.recall(2, {"text": np.ones(WIDTH, np.float32)})
    conversation.forget("Ann")
    held = whole(bank)
    assert not hers & {held[i : i + 4] for i in range(0, len(held), 4)}
    after = bank.recall(2, {"text": np.ones(WIDTH, np.float32)})
    assert {name: array.tolist() for name, array in after.items()} == {
        name: array.tolist() for name, array in bens.items()
    }
    conversation.forget("Ben")
    assert not any(whole(bank))


def test_who_is_evicted_leaves_no_byte_after_one_more_turn_or_when_forgotten(
    bundle: Bundle,
) -> None:
    for forget in (False, True):
        conversation = played(bundle, max_speakers=2)
        conversation.turn("Cem", WORDS[4])
        assert (
            not bank_of(conversation)
            .recall(1, {"text": np.ones(WIDTH, np.float32)})["episodes"]
            .any()
        )
        if forget:
            conversation.forget("Ann")
        else:
            conversation.turn("Cem", WORDS[5])
        assert 1 not in bank_of(conversation)._speakers
        assert 2 in bank_of(conversation)._speakers


def test_reset_leaves_zeros(bundle: Bundle) -> None:
    conversation = played(bundle)
    assert any(whole(bank_of(conversation)))
    conversation.reset()
    assert not any(whole(bank_of(conversation)))


def test_a_turn_that_fails_adds_nothing(bundle: Bundle) -> None:
    conversation = played(bundle)
    before, rows = remembered(conversation), bank_of(conversation).rows.tolist()
    with pytest.raises(EmptyTurn):
        conversation.turn("Ann", "")
    assert remembered(conversation) == before  # the looking makes turns that fail in the step
    assert bank_of(conversation).rows.tolist() == rows


def test_a_long_conversation_stays_within_the_bound(bundle: Bundle) -> None:
    conversation = Conversation(bundle, bank_bytes=LEAST_BYTES)
    for number in range(30):
        conversation.turn("Ann", " ".join(WORDS[4 + number % 9 :][:MAX_TOKENS]), speech(0.3))
    assert len(bank_of(conversation).rows) == RING + 1
    assert bank_of(conversation)._index.ntotal == RING + 2


@pytest.mark.parametrize("size", [1, LEAST_BYTES - 1, MAX_BANK_BYTES + 1, -1, 10**20])
def test_a_bound_that_no_bank_fits_in(bundle: Bundle, size: int) -> None:
    with pytest.raises(ConfigError, match=rf"from {LEAST_BYTES}, which .*; got {size:,}"):
        Conversation(bundle, bank_bytes=size)


@pytest.mark.parametrize("size", [True, 1e6, "1000", None])
def test_a_bound_is_a_whole_number(bundle: Bundle, size: Any) -> None:
    with pytest.raises(ConfigError, match="bank_bytes: expected a whole number"):
        Conversation(bundle, bank_bytes=size)


def test_without_the_extra(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    Conversation(bundle).turn("Ann", WORDS[4])  # no bank needs none
    with pytest.raises(MissingExtra, match=r"pip install 'dcet\[memory\]'"):
        Conversation(bundle, bank_bytes=4000)
