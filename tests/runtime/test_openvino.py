"""OpenVINO's GPU and NPU, on a machine that has neither: the CPU stands in for them."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from dcet.benchmarks.latency.process_memory import rss_bytes
from dcet.runtime import Bundle
from dcet.runtime.engines.engine import Engine
from dcet.runtime.errors import EngineError
from dcet.runtime.senses.speech import hear_voice
from tests.tiny_bundle import MAX_TOKENS, write_tiny_bundle

openvino = pytest.importorskip("openvino")


class AllDevices:
    """OpenVINO's Core, with a GPU and an NPU that are the CPU."""

    available_devices: ClassVar[list[str]] = ["CPU", "GPU.0", "GPU.1", "NPU"]
    compiled: ClassVar[list[tuple[str, dict[str, Any], Any]]] = []

    def __init__(self, real: Any) -> None:
        self.core = real()

    def read_model(self, *contents: bytes) -> Any:
        return self.core.read_model(*contents)

    def compile_model(self, model: Any, device: str, config: dict[str, Any]) -> Any:
        compiled = self.core.compile_model(model, "CPU", config)
        self.compiled.append((device, config, compiled))
        return compiled

    def get_property(self, device: str, name: str) -> Any:
        return ["FP32", "BF16"] if name == "OPTIMIZATION_CAPABILITIES" else f"{device} of nobody"


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, Any]]:
    """Record what is compiled, as (device, config, model), on a machine with all devices."""
    real = openvino.Core
    monkeypatch.setattr(openvino, "Core", lambda: AllDevices(real))
    monkeypatch.setattr(AllDevices, "compiled", [])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return AllDevices.compiled


@pytest.fixture
def bundle(tiny_openvino: Path) -> Bundle:
    return Bundle.open(tiny_openvino)


def tokens(count: int) -> dict[str, Any]:
    ids = np.arange(4, 4 + count, dtype=np.int32)[None]
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@pytest.mark.parametrize("device", ["GPU", "NPU"])
def test_the_next_engine_is_taken_where_the_device_is_missing(tmp_path: Path, device: str) -> None:
    engines = (f"openvino-{device.lower()}", "onnxruntime")
    bundle = Bundle.open(write_tiny_bundle(tmp_path / "tiny.dcet", engines=engines))
    engine = bundle.engine()
    assert engine.name == "onnxruntime-cpu"
    assert f"{engines[0]}: OpenVINO {openvino.__version__} finds no {device} here, only CPU" in (
        engine.reason
    )


def test_the_gpu_is_taken_where_there_is_one(
    tmp_path: Path, compiled: list[tuple[str, Any, Any]]
) -> None:
    engines = ("openvino-gpu", "onnxruntime")
    bundle = Bundle.open(write_tiny_bundle(tmp_path / "tiny.dcet", engines=engines))
    engine = bundle.engine()
    assert (engine.name, engine.reason) == ("openvino-gpu", "first choice of target cpu")
    for device, config, _ in compiled:
        assert (device, config["PERFORMANCE_HINT"]) == ("GPU", "LATENCY")
        assert config["INFERENCE_PRECISION_HINT"] == "f32"  # graphs in fp32 promise 1e-4
    assert engine.run("text", tokens(3))["features"].shape == (1, 8)


@pytest.mark.parametrize(
    ("precision", "in_bf16"),
    [("fp32", set()), ("fp16", set()), ("int8", {"text", "face", "step"})],
)
def test_sound_does_not_compute_in_bfloat16_and_the_rest_only_beside_int8(
    bundle: Bundle, compiled: list[tuple[str, Any, Any]], precision: str, in_bf16: set[str]
) -> None:
    graphs = bundle.manifest.graphs
    object.__setattr__(graphs["face"], "precision", precision)
    engine = bundle.engine("openvino")
    by_inputs = {  # in whatever order they were compiled
        frozenset(port.get_any_name() for port in model.inputs): config
        for _, config, model in compiled
    }
    hints = {
        id: by_inputs[frozenset(tensor.name for tensor in graph.inputs)]["INFERENCE_PRECISION_HINT"]
        for id, graph in graphs.items()
    }
    assert hints == {id: "bf16" if id in in_bf16 else "f32" for id in graphs}
    said = {id: engine.float_type(id) for id in graphs}
    assert said == {id: "bf16" if id in in_bf16 else "fp32" for id in graphs}


def test_what_was_compiled_is_kept_in_the_users_cache(
    tmp_path: Path, bundle: Bundle, compiled: list[tuple[str, Any, Any]]
) -> None:
    first = bundle.engine("openvino-gpu").run("text", tokens(3))["features"]
    kept = set((tmp_path / "cache").rglob("*.blob"))
    assert len(kept) == len(bundle.manifest.graphs)
    again = Bundle.open(bundle.path).engine("openvino-gpu")
    assert [model.get_property("LOADED_FROM_CACHE") for *_, model in compiled[4:]] == [True] * 4
    assert np.array_equal(again.run("text", tokens(3))["features"], first)
    assert set((tmp_path / "cache").rglob("*.blob")) == kept


@pytest.mark.parametrize("damage", ["changed", "no hash"])
def test_what_was_damaged_in_the_cache_is_compiled_again(
    tmp_path: Path, bundle: Bundle, compiled: list[tuple[str, Any, Any]], damage: str
) -> None:
    """OpenVINO itself would run it."""
    first = bundle.engine("openvino-gpu").run("text", tokens(3))["features"]
    for blob in (tmp_path / "cache").rglob("*.blob"):
        if damage == "changed":
            data = bytearray(blob.read_bytes())
            data[len(data) // 2] ^= 0x40
            blob.write_bytes(data)
        else:
            blob.with_suffix(".sha256").unlink()
    again = Bundle.open(bundle.path).engine("openvino-gpu")
    assert [model.get_property("LOADED_FROM_CACHE") for *_, model in compiled[4:]] == [False] * 4
    assert np.array_equal(again.run("text", tokens(3))["features"], first)


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, bundle: Bundle, compiled: list[tuple[str, Any, Any]]
) -> None:
    (tmp_path / "cache").write_text("in the way", encoding="utf-8")
    bundle.engine("openvino-gpu").run("text", tokens(3))
    assert all("CACHE_DIR" not in config for _, config, _ in compiled)


@pytest.fixture
def npu(bundle: Bundle, compiled: list[tuple[str, Any, Any]]) -> Engine:
    return bundle.engine("openvino-npu")


def test_the_npu_gets_fixed_shapes(npu: Engine, compiled: list[tuple[str, Any, Any]]) -> None:
    assert npu.name == "openvino-npu"
    for device, config, model in compiled:
        assert (device, config["INFERENCE_PRECISION_HINT"]) == ("NPU", "f16")
        assert all(port.get_partial_shape().is_static for port in model.inputs)


@pytest.mark.parametrize("count", [1, 3, MAX_TOKENS])
def test_padded_text_is_the_same(bundle: Bundle, npu: Engine, count: int) -> None:
    expected = bundle.engine("openvino").run("text", tokens(count))
    got = npu.run("text", tokens(count))
    np.testing.assert_allclose(got["features"], expected["features"], atol=2e-3)


@pytest.mark.parametrize("windows", [1, 2, 8])
def test_padded_sound_is_the_same(bundle: Bundle, npu: Engine, windows: int) -> None:
    """Features of the windows there are, and nothing new in the voice."""
    rng = np.random.default_rng(windows)
    pcm = rng.uniform(-0.1, 0.1, (windows, 48_000)).astype(np.float32)
    heard = {"pcm": pcm, "voice": rng.random((1, 3, 64), np.float32)}
    expected, got = bundle.engine("openvino").run("audio", heard), npu.run("audio", heard)
    for name in ("features", "next_voice"):
        np.testing.assert_allclose(got[name], expected[name], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("count", [1, 5])
def test_faces_of_any_size(npu: Engine, count: int) -> None:
    pixels = np.zeros((count, 131, 97, 3), np.uint8)
    assert npu.run("face", {"pixels": pixels})["features"].shape == (count, 4)


def test_more_than_fits_is_an_engine_error(npu: Engine) -> None:
    with pytest.raises(EngineError, match=r"graph 'text': expected at most .*16.*, got .*17"):
        npu.run("text", tokens(17))


def test_nothing_of_a_turn_stays_in_a_request(bundle: Bundle) -> None:
    engine: Any = bundle.engine("openvino")
    graph = bundle.manifest.graphs["step"]
    said: dict[str, Any] = {
        tensor.name: np.ones(tensor.shape, np.float32) for tensor in graph.inputs
    }
    first, again = (engine.run("step", said)["probabilities"] for _ in range(2))
    assert np.array_equal(first, again)
    (kept,) = engine._requests["step"][0]._idle
    for array in (*kept.inputs.values(), *kept.outputs.values()):
        assert not array.any()
    with pytest.raises(EngineError, match=r"text: expected float32 \(1, 8\), got float32 \(1, 3\)"):
        engine.run("step", said | {"text": np.ones((1, 3), np.float32)})


def test_memory_does_not_grow_with_the_lengths_of_sounds() -> None:
    """It grew by 1.6 MiB for each length before; what is left is chance."""
    bundle = Bundle.default()
    engine = bundle.engine("openvino")
    hops = np.random.default_rng(0).permutation(np.arange(20, 700))[:160]
    for number, count in enumerate(hops.tolist()):
        hear_voice(engine, bundle.manifest, np.zeros(count * 512, np.float32))
        if number == 20:
            before = rss_bytes()
    assert rss_bytes() - before < 64 * 2**20


def test_graphs_that_take_turns_lose_no_memory() -> None:
    bundle = Bundle.default()
    engine = bundle.engine("openvino")
    sizes = {"tokens": 9, "windows": 1, "faces": 1, "height": 48, "width": 48}
    inputs = {
        name: {
            tensor.name: np.ones(
                [size if isinstance(size, int) else sizes[size] for size in tensor.shape],
                tensor.dtype,
            )
            for tensor in bundle.manifest.graphs[name].inputs
        }
        for name in ("text", "audio", "face")
    }
    seen = []
    for number in range(361):
        for name, arrays in inputs.items():
            engine.run(name, arrays)
        hear_voice(engine, bundle.manifest, np.zeros(60 * 512, np.float32))
        if number % 100 == 60:
            seen.append(rss_bytes())
    # All of them on several threads: 2.9 MB in every hundred rounds. A page of 2 MiB that the
    # system takes at once is in one of them alone.
    assert min(np.diff(seen)) < 2**20
