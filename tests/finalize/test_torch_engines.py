"""Graphs compiled by torch on this device reproduce the golden sequences, or are not taken."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dcet.finalize.cli import main
from dcet.runtime import Bundle
from dcet.runtime.bundle.golden import replay_golden, rows_too_far
from dcet.runtime.engines.engine import Engine
from dcet.runtime.engines.torch_package import TorchTensorrtEngine
from dcet.runtime.errors import EngineError
from tests.tiny_bundle import describe_files, write_container, write_tiny_bundle

DEVICES = [
    pytest.param(
        "cpu",
        marks=pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler is here"),
    ),
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU is here"),
    ),
]


@pytest.fixture(scope="module", params=DEVICES)
def finalized(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bundle, Engine, dict[str, Any]]:
    """A bundle, its torch engine and what dcet-finalize said of it."""
    path = write_tiny_bundle(
        tmp_path_factory.mktemp("bundle") / "tiny.dcet", senses=(), as_zip=False
    )
    result = CliRunner().invoke(main, [str(path), "--engine", f"torch-{request.param}", "--json"])
    assert result.exit_code == 0, result.output
    bundle = Bundle.open(path)
    return bundle, bundle.engine(f"torch-{request.param}"), json.loads(result.stdout)


def test_it_is_built_and_checked(finalized: tuple[Bundle, Engine, dict[str, Any]]) -> None:
    bundle, engine, done = finalized
    assert done["outcome"] == "built"
    assert max(row["max_abs_probability"] for row in done["record"]["parity"]) < 1e-5
    assert {"step-0.pt2", "text-0.pt2"} < set(done["record"]["files"])
    reference = bundle.engine("onnxruntime")
    ids = np.array([[2, 4, 8]], np.int32)
    text = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    for _ in range(2):  # nothing of the first run is left in the second
        np.testing.assert_allclose(
            engine.run("text", text)["features"],
            reference.run("text", text)["features"],
            atol=1e-5,
        )


def test_inputs_that_are_not_the_graphs_are_refused(
    finalized: tuple[Bundle, Engine, dict[str, Any]],
) -> None:
    """A compiled program would read beyond them."""
    _, engine, _ = finalized
    ids = np.ones((1, 3), np.int32)
    for inputs, message in (
        ({"input_ids": ids}, "inputs input_ids, attention_mask, got input_ids"),
        ({"input_ids": ids, "attention_mask": ids[0]}, r"'attention_mask' as int32 .*, got int32"),
        (
            {"input_ids": ids, "attention_mask": ids * 1.0},
            "'attention_mask' as int32 .*, got float",
        ),
    ):
        with pytest.raises(EngineError, match=f"could not run graph 'text': expected {message}"):
            engine.run("text", inputs)


def test_a_wrong_program_is_seen(
    finalized: tuple[Bundle, Engine, dict[str, Any]], tmp_path: Path
) -> None:
    """Golden sequences of other weights, replayed on these programs."""
    bundle, engine, _ = finalized
    arrays = dict(np.load(io.BytesIO(bundle.read("golden/expected.npz"))))
    arrays["plain/probabilities"][-1] = arrays["plain/probabilities"][-1, :, ::-1]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    files["golden/expected.npz"] = buffer.getvalue()
    manifest = bundle.manifest.to_json() | {"files": describe_files(files)}
    other = Bundle.open(write_container(tmp_path / "other.dcet", manifest, files))
    wrong = [row.case for row in rows_too_far(replay_golden(other, engine))]
    assert wrong == ["plain"]


def test_a_program_that_was_changed_is_not_run(
    finalized: tuple[Bundle, Engine, dict[str, Any]], tmp_path: Path
) -> None:
    bundle, engine, _ = finalized
    path = tmp_path / "tiny.dcet"
    shutil.copytree(bundle.path, path)
    (package,) = path.glob("cache/*/step-0.pt2")
    data = bytearray(package.read_bytes())
    data[len(data) // 2] ^= 1
    package.write_bytes(data)
    with pytest.raises(EngineError, match=r"step-0.pt2: expected the file .*dcet-finalize again"):
        Bundle.open(path).engine(engine.name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="an NVIDIA GPU is here")
@pytest.mark.parametrize("name", ["torch-cuda", "torch-tensorrt"])
def test_without_a_gpu_the_next_engine_is_taken(tmp_path: Path, name: str) -> None:
    path = write_tiny_bundle(tmp_path / "tiny.dcet", engines=(name, "onnxruntime"))
    engine = Bundle.open(path).engine()
    assert engine.name == "onnxruntime-cpu"
    assert f"{name}: torch {torch.__version__} finds no NVIDIA GPU here" in engine.reason


def test_a_torch_tensorrt_without_its_libraries_is_an_engine_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises a plain Exception on import."""
    (tmp_path / "torch_tensorrt.py").write_text(
        "raise Exception('could not find libnvinfer')", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(EngineError, match=r"cannot be imported: could not find libnvinfer; "):
        TorchTensorrtEngine.load()
