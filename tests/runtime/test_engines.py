"""Engines agree with the golden sequences, with each other, and with themselves under load."""

import copy
import io
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcet.runtime import Bundle, Conversation
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import ConfigError, EngineError, NotCopyable


@pytest.fixture(params=["onnxruntime", "openvino from IR", "openvino from ONNX"])
def bundle_and_engine(request: pytest.FixtureRequest) -> tuple[Bundle, Engine]:
    name, _, source = request.param.partition(" from ")
    pytest.importorskip(name)
    path: Path = request.getfixturevalue("tiny_openvino" if source == "IR" else "tiny")
    bundle = Bundle.open(path)
    return bundle, bundle.engine(name)


def load(bundle: Bundle, file: str) -> dict[str, Any]:
    with np.load(io.BytesIO(bundle.read(file)), allow_pickle=False) as arrays:
        return dict(arrays)


def test_golden_sequences(bundle_and_engine: tuple[Bundle, Engine]) -> None:
    """Played as the step rule of docs/bundle-format.md says."""
    bundle, engine = bundle_and_engine
    manifest = bundle.manifest
    inputs, expected = load(bundle, manifest.golden.inputs), load(bundle, manifest.golden.expected)
    cases = [case for case in manifest.golden.cases if case.name != "text"]
    assert len(cases) == 10
    for case in cases:
        memory: dict[tuple[str, float], Any] = {}
        given = {
            key.partition("/")[2]: array
            for key, array in inputs.items()
            if key.startswith(f"{case.name}/")
        }
        for turn in range(case.steps):
            if given["reset"][turn]:
                memory.clear()
            speaker = given["speaker"][turn, 0, 0]
            feed = {name: array[turn] for name, array in given.items() if name != "reset"}
            pairs = [pair for pair in manifest.state if pair.graph == "step"]
            for pair in pairs:
                owner = (pair.input, speaker if pair.per == "speaker" else 0)
                feed[pair.input] = memory.get(owner, np.zeros(pair.shape, np.float32))
            outputs = engine.run("step", feed)
            for name in ("probabilities", "sentiment", "shift", "modality_weights"):
                np.testing.assert_allclose(
                    outputs[name], expected[f"{case.name}/{name}"][turn], atol=1e-5
                )
            for pair in pairs:
                owner = (pair.input, speaker if pair.per == "speaker" else 0)
                memory[owner] = outputs[pair.output]


def test_text(bundle_and_engine: tuple[Bundle, Engine]) -> None:
    bundle, engine = bundle_and_engine
    inputs = load(bundle, bundle.manifest.golden.inputs)
    expected = load(bundle, bundle.manifest.golden.expected)
    feed = {name: inputs[f"text/{name}"][0] for name in ("input_ids", "attention_mask")}
    np.testing.assert_allclose(
        engine.run("text", feed)["features"], expected["text/features"][0], atol=1e-6
    )


def test_audio(bundle_and_engine: tuple[Bundle, Engine]) -> None:
    """Any number of windows; a voice that is known changes what is heard."""
    _, engine = bundle_and_engine
    pcm = np.linspace(-1, 1, 3 * 48_000, dtype=np.float32).reshape(3, 48_000)
    unknown = np.zeros((1, 3, 64), np.float32)
    heard = engine.run("audio", {"pcm": pcm, "voice": unknown})
    assert heard["features"].shape == (3, 3)
    alone = engine.run("audio", {"pcm": pcm[1:2], "voice": unknown})
    np.testing.assert_allclose(alone["features"][0], heard["features"][1], atol=1e-5)
    again = engine.run("audio", {"pcm": pcm[1:2], "voice": heard["next_voice"]})
    assert np.abs(again["features"] - alone["features"]).max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 12, 12, 3), (8, 96, 96, 3), (2, 131, 97, 3)])
def test_faces(bundle_and_engine: tuple[Bundle, Engine], shape: tuple[int, ...]) -> None:
    """Bytes, any number of them, of any size."""
    _, engine = bundle_and_engine
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    features = engine.run("face", {"pixels": pixels})["features"]
    assert features.shape == (len(pixels), 4)
    alone = engine.run("face", {"pixels": pixels[-1:]})["features"]
    np.testing.assert_allclose(features[-1:], alone, atol=1e-5)


def test_outputs_are_the_callers_own(bundle_and_engine: tuple[Bundle, Engine]) -> None:
    """A later run does not change what an earlier one gave."""
    _, engine = bundle_and_engine

    def run(token: int) -> Any:
        ids = np.array([[2, token, 3]], np.int32)
        return engine.run("text", {"input_ids": ids, "attention_mask": np.ones_like(ids)})

    first = run(4)["features"]
    before = first.copy()
    assert not np.array_equal(run(5)["features"], before)
    assert np.array_equal(first, before)


def test_several_threads_get_what_one_gets(bundle_and_engine: tuple[Bundle, Engine]) -> None:
    bundle, _ = bundle_and_engine
    lines = ["i am happy", "you are angry", "so sad !", "we are fine ."] * 5

    def play(offset: int) -> list[float]:
        conversation = Conversation(bundle)
        return [conversation.turn("Ann", line).sentiment for line in lines[offset:]]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(play, range(4)))
    assert together == [play(offset) for offset in range(4)]


def test_what_an_engine_cannot_run_is_an_engine_error(
    bundle_and_engine: tuple[Bundle, Engine],
) -> None:
    _, engine = bundle_and_engine
    with pytest.raises(EngineError, match="could not run graph 'step'"):
        engine.run("step", {"text": np.zeros((3, 3), np.float32)})


def test_an_engine_is_opened_once(bundle: Bundle) -> None:
    assert Conversation(bundle).engine is Conversation(bundle).engine
    assert bundle.engine().reason == "first choice of target cpu"
    assert bundle.engine("onnxruntime").reason == "asked for by name"


class Doubled(Engine):
    """An engine of a user's own: a name, a reason, and `run`."""

    name, reason = "doubled", "it is tested"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ran: list[str] = []

    def run(self, graph: str, inputs: Any) -> Any:
        self.ran.append(graph)
        outputs = self.engine.run(graph, inputs)
        return outputs | {"sentiment": 2 * outputs["sentiment"]} if graph == "step" else outputs


def test_every_run_passes_through_an_engine_that_wraps_another(
    bundle_and_engine: tuple[Bundle, Engine],
) -> None:
    """Although the one inside may compute ahead."""
    bundle, engine = bundle_and_engine
    doubled = Doubled(engine)
    estimate = Conversation(bundle, doubled).turn("Ann", "i am happy")
    plain = Conversation(bundle, engine).turn("Ann", "i am happy")
    assert doubled.ran == ["text", "step"]
    assert estimate.sentiment == pytest.approx(2 * plain.sentiment)
    assert (estimate.engine, estimate.engine_reason) == ("doubled", "it is tested")
    assert doubled.float_type("text") == "fp32"
    assert doubled.keep_states(bundle.manifest.state, 4) is None


@pytest.mark.parametrize("engine", [object(), None, Doubled])
def test_what_is_no_engine_is_named(bundle: Bundle, engine: Any) -> None:
    with pytest.raises(ConfigError, match=r"^engine: expected auto, the name .* got (object|No|A)"):
        Conversation(bundle, engine)


@pytest.mark.parametrize("missing", ["name", "reason"])
def test_an_engine_of_your_own_says_what_it_is(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    engine = Doubled(bundle.engine("onnxruntime"))
    monkeypatch.setattr(Doubled, missing, None)
    with pytest.raises(ConfigError, match=rf"^engine: expected Doubled\.{missing} to be a str"):
        Conversation(bundle, engine)


@pytest.mark.parametrize("outputs", [None, [np.zeros(1, np.float32)], {"features": [1.0]}])
def test_an_engine_of_your_own_that_gives_no_arrays_is_named(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, outputs: Any
) -> None:
    conversation = Conversation(bundle, Doubled(bundle.engine("onnxruntime")))
    monkeypatch.setattr(Doubled, "run", lambda *_: outputs)
    with pytest.raises(EngineError, match="expected a dict of float32 arrays by the names"):
        conversation.turn("Ann", "fine")
    assert conversation.turns == 0


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, ForkingPickler.dumps])
def test_an_engine_is_neither_copied_nor_pickled(
    bundle_and_engine: tuple[Bundle, Engine], take: Any
) -> None:
    _, engine = bundle_and_engine
    for each in (engine, Doubled(engine)):
        with pytest.raises(NotCopyable, match=r"^an? \w+ can be neither copied nor pickled"):
            take(each)


@pytest.mark.parametrize(
    ("graph", "left_out"),
    [("text", "features"), ("step", "probabilities"), ("step", "shift"), ("step", None)],
)
def test_an_output_that_an_engine_of_your_own_leaves_out_is_named(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, graph: str, left_out: str | None
) -> None:
    """None stands for the last one, a state; the turn is not kept."""
    inner = bundle.engine("onnxruntime")
    conversation = Conversation(bundle, Doubled(inner))
    conversation.turn("Ann", "i am happy")
    left_out = left_out or bundle.manifest.state[-2].output

    def run(_: Any, asked: str, inputs: Any) -> Any:
        outputs = inner.run(asked, inputs)
        return {k: v for k, v in outputs.items() if asked != graph or k != left_out}

    monkeypatch.setattr(Doubled, "run", run)
    with pytest.raises(EngineError, match=f"graph '{graph}': expected the output '{left_out}'"):
        conversation.turn("Ann", "so sad")
    assert conversation.turns == 1
    assert len(conversation.trajectory("Ann").turns) == 1
