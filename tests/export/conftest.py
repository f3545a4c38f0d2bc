"""Fixtures of the tests of export: a checkpoint with random weights and its two bundles."""

from pathlib import Path

import onnx
import pytest

import dcet.export.exporter
from dcet.export.exporter import Exporter, in_precision
from dcet.runtime import Bundle
from dcet.targets import load_target
from dcet.training.saved import checkpoint
from dcet.training.saved.checkpoint import Checkpoint
from tests.tiny_training import one_thread, untrained, with_senses, write_bert, write_meld

__all__ = ["one_thread"]  # a fixture: pytest finds it by its name here


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the checkpoint, and return its folder."""
    place = tmp_path_factory.mktemp("checkpoint")
    tiny = with_senses(untrained(write_bert(place / "bert")))
    # Emotions of an untrained model are nearly tied: int8, which processors compute differently,
    # would change their order.
    tiny.model.step.heads.emotion.bias.data[-1] += 1
    checkpoint.save(place / "tiny", tiny)
    return place / "tiny"


@pytest.fixture(scope="session")
def saved(folder: Path) -> Checkpoint:
    return checkpoint.load(folder)


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_meld(tmp_path_factory.mktemp("corpus")) / "dev_sent_emo.csv"


def export(saved: Checkpoint, target: str, output: Path) -> Path:
    """A bundle in fp32, whatever the target wants: int8 is tried in test_int8."""
    row = in_precision(load_target(target), "fp32")
    Exporter(saved, "tiny").write_verified(row, output)
    return output


@pytest.fixture(scope="session")
def cpu(saved: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(saved, "cpu", tmp_path_factory.mktemp("bundle") / "cpu.dcet")


@pytest.fixture(scope="session")
def openvino_cpu(saved: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(saved, "openvino-cpu", tmp_path_factory.mktemp("bundle") / "openvino.dcet")


@pytest.fixture(params=["cpu", "openvino_cpu"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return Bundle.open(request.getfixturevalue(request.param))


@pytest.fixture
def graphs(cpu: Path) -> dict[str, onnx.ModelProto]:
    opened = Bundle.open(cpu)
    rows = opened.manifest.graphs.items()
    return {id: onnx.load_from_string(opened.read(row.file)) for id, row in rows}


@pytest.fixture
def traced(graphs: dict[str, onnx.ModelProto], monkeypatch: pytest.MonkeyPatch) -> None:
    """Export with graphs that were traced before: tracing takes seconds."""
    monkeypatch.setattr(dcet.export.exporter, "export_graphs", lambda *_: graphs)
