"""Engines whose states stay on a CUDA device, on one that is made up (tests/device_fakes)."""

import ctypes
import gc
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcet.runtime.step
from dcet.finalize import tensorrt as builder
from dcet.runtime import Bundle, Conversation, Estimate
from dcet.runtime.bundle.golden import replay_golden, rows_too_far
from dcet.runtime.engines import onnxruntime_cuda
from dcet.runtime.engines.engine import DeviceState, Engine
from dcet.runtime.engines.onnxruntime import CPU, load_session
from dcet.runtime.engines.registry import find_factory
from dcet.runtime.errors import EngineError, UnknownSpeaker
from dcet.synthetic.probes import speech
from tests.runtime.probe import probed, states
from tests.runtime.signals import face
from tests.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.slow
ENGINES = ("tensorrt", "onnxruntime-cuda", "onnxruntime")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(write_tiny_bundle(tmp_path / "tiny.dcet", engines=ENGINES))


@pytest.fixture(params=["tensorrt", "onnxruntime-cuda"])
def engine(
    request: pytest.FixtureRequest,
    bundle: Bundle,
    tmp_path: Path,
    fake_device: pytest.MonkeyPatch,
) -> Engine:
    if request.param == "tensorrt":
        built = tmp_path / "built"
        built.mkdir()
        builder.build(bundle, built, tmp_path)
        return find_factory("tensorrt").open(bundle, "tested", built)
    # ONNX Runtime here has no CUDA: it reads and writes the made-up device's memory as its own, and
    # takes its turn at once, as it would on the stream that it is given.
    fake_device.setenv("DCET_FAKE_CUDA", "eager")
    fake_device.setattr(onnxruntime_cuda, "DEVICE", "cpu")
    fake_device.setattr(onnxruntime_cuda, "PROVIDER", CPU)
    fake_device.setattr(
        onnxruntime_cuda, "load_session", lambda bundle, id, providers: load_session(bundle, id)
    )
    return find_factory("onnxruntime-cuda").open(bundle, "tested")


def talk(bundle: Bundle, engine: Engine | None = None, **options: Any) -> Conversation:
    """On this engine, or on the host."""
    return Conversation(bundle, "onnxruntime" if engine is None else engine, **options)


LINES = [
    "i am happy",
    "you are angry !",
    "so sad",
    "we are fine .",
    "they are afraid",
    "i am so sad",
]


def say(conversation: Conversation, number: int) -> Estimate:
    return conversation.turn(
        "Ann Ben Cleo".split()[number % 3],
        LINES[number % len(LINES)],
        audio=speech(0.5 + number % 4, seed=number) if number % 2 else None,
        faces=[face(seed=number + i) for i in range(1 + number % 3)] if number % 3 else None,
    )


def same(one: Estimate, other: Estimate) -> None:
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert one.sentiment == pytest.approx(other.sentiment, abs=1e-6)
    assert one.modality_weights == pytest.approx(other.modality_weights, abs=1e-6)
    assert (one.shift is None) == (other.shift is None)


def device_memory() -> dict[int, bytes]:
    """All that is allocated, once everything that was asked is done."""
    from cuda.bindings import runtime

    gc.collect()
    for stream in runtime.streams:
        runtime.cudaStreamSynchronize(stream)
    return {
        address: ctypes.string_at(address, size) for address, (size, _) in runtime.allocated.items()
    }


def pinned_memory() -> list[bytes]:
    """All memory of the host that the device may read."""
    from cuda.bindings import runtime

    held = device_memory()
    return [held[address] for address in runtime.pinned]


def test_golden_sequences(bundle: Bundle, engine: Engine) -> None:
    rows = replay_golden(bundle, engine)
    assert rows_too_far(rows) == ()
    assert max(row.max_abs_probability for row in rows) < 1e-5


@pytest.mark.parametrize("per", ["speaker", "scene"])
def test_states_on_the_device_are_those_of_the_host(
    bundle: Bundle, engine: Engine, per: str
) -> None:
    here, there = probed(bundle, bundle.engine("onnxruntime")), probed(bundle, engine)
    for number in range(12):
        same(say(there, number), say(here, number))
    for speaker in ("Ann", "Ben", "Nobody"):
        kept = states(there, speaker, per)
        for name, state in states(here, speaker, per).items():
            if name == "voice":  # of an encoder, which may run ahead of the memory
                np.testing.assert_allclose(kept[name], state, atol=1e-6)
                continue
            assert isinstance(kept[name], DeviceState)
            device_memory()
            found = np.frombuffer(ctypes.string_at(kept[name].address, state.nbytes), np.float32)
            np.testing.assert_allclose(found.reshape(state.shape), state, atol=1e-6)


def test_encoding_ahead_and_previews_change_nothing_on_the_device(
    bundle: Bundle, engine: Engine
) -> None:
    """To the bit: the voice follows what was encoded, and a preview leaves every slot."""
    plain, looking = (talk(bundle, engine, max_speakers=2) for _ in range(2))
    for number in range(12):
        expected = say(plain, number)
        speaker = "Ann Ben Cleo".split()[number % 3]
        audio = speech(0.5 + number % 4, seed=number) if number % 2 else None
        faces = [face(seed=number + i) for i in range(1 + number % 3)] if number % 3 else None
        encoded = looking.encode(speaker, LINES[number % len(LINES)], audio, faces)
        looking.preview("Dan", "i am happy", speech(1))
        looking.preview("Ann", "so sad")
        for estimate in (
            looking.preview(speaker, encoded=encoded),
            looking.turn(speaker, encoded=encoded),
        ):
            assert {**estimate.as_dict(), "latency_ms": None} == {
                **expected.as_dict(),
                "latency_ms": None,
            }


def test_what_is_saved_of_the_device_goes_on_there_and_on_the_host(
    bundle: Bundle, engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "saved.memory"
    there = talk(bundle, engine, bank_bytes=4000)
    for number in range(7):
        say(there, number)
    there.save(file)
    again = Conversation.restore(file, bundle, engine)
    here = Conversation.restore(file, bundle, "onnxruntime")
    there.export_speaker("Ben", file)
    for conversation in (there, again, here):
        conversation.import_speaker(file, name="Zoë")
    assert not any(map(any, pinned_memory()))
    for number in range(7, 12):
        expected = say(there, number)
        assert say(again, number).probabilities == expected.probabilities
        same(say(here, number), expected)
    expected = there.turn("Zoë", "i am happy")
    assert again.turn("Zoë", "i am happy").probabilities == expected.probabilities
    same(here.turn("Zoë", "i am happy"), expected)


def test_the_bank_holds_what_is_read_back(bundle: Bundle, engine: Engine) -> None:
    here, there = talk(bundle, bank_bytes=4000), talk(bundle, engine, bank_bytes=4000)
    plain = talk(bundle)
    for number in range(12):
        found = say(here, number)
        same(say(there, number), found)
        assert (say(plain, number).probabilities != found.probabilities) == (number >= 9)


@pytest.mark.parametrize(
    "change",
    [
        lambda conversation: conversation.forget("Ben"),
        lambda conversation: conversation.reset(),
        lambda conversation: conversation.turn("Dan", "i am happy"),  # one speaker must make room
    ],
    ids=["forget", "reset", "evict"],
)
def test_what_is_forgotten_on_the_device_is_what_is_forgotten_on_the_host(
    bundle: Bundle, engine: Engine, change: Callable[[Conversation], Any]
) -> None:
    here, there = talk(bundle, max_speakers=3), talk(bundle, engine, max_speakers=3)
    for conversation in (here, there):
        for number in range(7):
            say(conversation, number)
        change(conversation)
    for number in range(7, 14):
        same(say(there, number), say(here, number))


def test_forgetting_leaves_no_trace_on_the_device(bundle: Bundle, engine: Engine) -> None:
    conversation = talk(bundle, engine)
    before = device_memory()
    assert not any(map(any, before.values()))
    for number in range(0, 9, 3):
        say(conversation, number)
    assert conversation.speakers == ("Ann",)
    assert any(map(any, device_memory().values()))
    conversation.forget("Ann")
    assert device_memory() == before
    say(conversation, 4)
    conversation.reset()
    assert device_memory() == before
    with pytest.raises(UnknownSpeaker):
        conversation.forget("Ann")


def test_between_turns_only_the_memory_knows_what_was_said(bundle: Bundle, engine: Engine) -> None:
    """Only the block of states holds it, and no buffer through which it went."""
    conversation = probed(bundle, engine)
    [block] = [
        address
        for address, content in device_memory().items()
        if all(
            address <= state.address < address + len(content)
            for state in states(conversation, "Ann").values()
            if isinstance(state, DeviceState)
        )
    ]
    for number in range(4):
        say(conversation, number)
        for address, content in device_memory().items():
            assert any(content) == (address == block)


def test_a_turn_that_fails_leaves_the_memory_on_the_device(
    bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = talk(bundle), talk(bundle, engine)
    for conversation in (here, there):
        for number in range(5):
            say(conversation, number)
    run = engine.run

    def poisoned(graph: str, inputs: Any) -> Any:
        outputs = run(graph, inputs)
        if graph == "step":
            outputs["sentiment"][:] = np.nan
        return outputs

    with monkeypatch.context() as patch:
        patch.setattr(engine, "run", poisoned)
        for number in (5, 6):
            with pytest.raises(EngineError, match="expected finite estimates"):
                say(there, number)
    for number in range(7, 12):
        same(say(there, number), say(here, number))


def test_a_turn_interrupted_when_all_is_computed_leaves_the_memory_on_the_device(
    bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = talk(bundle), talk(bundle, engine)
    for conversation in (here, there):
        for number in range(5):
            say(conversation, number)

    def interrupted(**values: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dcet.runtime.step, "Estimate", interrupted)
        for number in (5, 6):
            with pytest.raises(KeyboardInterrupt):
                say(there, number)
    for number in range(7, 12):
        same(say(there, number), say(here, number))


def test_conversations_on_one_device_do_not_mix(bundle: Bundle, engine: Engine) -> None:
    def play(offset: int) -> list[float]:
        conversation = talk(bundle, engine)
        return [say(conversation, number).sentiment for number in range(offset, offset + 8)]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(play, range(4)))
    assert together == [play(offset) for offset in range(4)]


def test_a_conversation_that_is_over_leaves_nothing_on_the_device(
    bundle: Bundle, engine: Engine
) -> None:
    before = device_memory().keys()
    conversation = talk(bundle, engine)
    say(conversation, 0)
    assert device_memory().keys() > before
    del conversation
    assert device_memory().keys() == before


def test_a_forked_child_neither_uses_nor_frees_the_device(
    bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = talk(bundle, engine)
    say(conversation, 0)
    before = device_memory().keys()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(EngineError, match="from which process -1 was forked"):
            say(conversation, 1)
        with pytest.raises(EngineError, match="from which process -1 was forked"):
            conversation.reset()
        del conversation
        assert device_memory().keys() == before


def test_states_are_not_sent_again(
    bundle: Bundle, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host gives the step features alone; the encoders' own states, a few bytes, it gives."""
    conversation = talk(bundle, engine)
    taken: list[set[str]] = []
    run = engine.run

    def seen(graph: str, inputs: Any) -> Any:
        taken.append({name for name, value in inputs.items() if isinstance(value, DeviceState)})
        return run(graph, inputs)

    monkeypatch.setattr(engine, "run", seen)
    say(conversation, 1)
    states = {pair.input for pair in bundle.manifest.state if pair.graph == "step"}
    assert taken[-1] == states
    assert not any(taken[:-1])


@pytest.mark.parametrize(
    ("graph", "inputs", "says"),
    [
        ("text", {}, "'input_ids' is missing"),
        (
            "text",
            {"input_ids": np.zeros((1, 3)), "attention_mask": np.ones((1, 3), np.int32)},
            "'input_ids': expected int32, got float64",
        ),
        (
            "face",
            {"pixels": np.zeros((1, 300, 40, 3), np.uint8)},
            r"'pixels' of shape \(1, 300, 40, 3\) is none it was built for",
        ),
    ],
)
@pytest.mark.parametrize("engine", ["tensorrt"], indirect=True)
def test_what_no_plan_was_built_for(
    engine: Engine, graph: str, inputs: dict[str, Any], says: str
) -> None:
    with pytest.raises(EngineError, match=f"could not run graph '{graph}': {says}"):
        engine.run(graph, inputs)


def test_without_a_plan_tensorrt_says_how_to_get_one(
    bundle: Bundle, fake_device: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_device.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EngineError, match="not built on this device yet; run: dcet-finalize /"):
        bundle.engine("tensorrt")
    reason = bundle.engine().reason
    assert reason.startswith("choice 3 of 3 of target cpu; tensorrt: it was not built on this")
    assert "; onnxruntime-cuda: onnxruntime " in reason
    assert "was built without CUDA; run: pip uninstall onnxruntime && pip" in reason


def test_onnxruntime_that_leaves_cuda_unused_is_refused(
    bundle: Bundle, fake_device: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime falls back silently where cuDNN does not load."""
    fake_device.setattr(onnxruntime_cuda, "_expect_cuda", lambda: None)
    fake_device.setattr(
        onnxruntime_cuda, "load_session", lambda bundle, id, providers: load_session(bundle, id)
    )
    with pytest.raises(EngineError, match="fell back to the CPU silently"):
        bundle.engine("onnxruntime-cuda")


@pytest.mark.parametrize(
    ("fault", "says"),
    [("out of memory", "the CUDA device is out of memory"), ("no device", "cudaErrorNoDevice")],
)
def test_a_device_that_fails_is_an_engine_error(
    bundle: Bundle, engine: Engine, fake_device: pytest.MonkeyPatch, fault: str, says: str
) -> None:
    fake_device.setenv("DCET_FAKE_CUDA", fault)
    with pytest.raises(EngineError, match=says):
        talk(bundle, engine)
