"""A bundle's turn compared with tiny peers: the figures, and that all are held to the same."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from click.testing import CliRunner

from dcet.benchmarks.cli import main
from dcet.benchmarks.figures import render_figures
from dcet.benchmarks.peers import models as peer_models
from dcet.benchmarks.peers.measure import PEERS_SCHEMA, STACKS
from dcet.benchmarks.peers.models import RECIPES, Recipe, build_peers
from dcet.benchmarks.peers.openvino import openvino_peers
from dcet.benchmarks.peers.pinning import pinned
from dcet.benchmarks.raw_turn import three_sense_turn
from dcet.runtime import Bundle
from dcet.runtime.errors import ConfigError, EngineError
from tests.tiny_bundle import write_tiny_bundle

T = TypeVar("T")

TINY: dict[str, dict[str, Any]] = {
    "text": {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2},
    "audio": {
        "num_hidden_layers": 1,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "conv_dim": [16, 16],
        "conv_kernel": [25, 16],
        "conv_stride": [20, 16],
        "num_conv_pos_embedding_groups": 2,
        "intermediate_size": 32,
    },
    "face": {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]},
}


@pytest.fixture(autouse=True)
def tiny_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage, settings in TINY.items():
        recipe = RECIPES[stage]
        tiny = Recipe(recipe.name, recipe.model, recipe.config, settings)
        monkeypatch.setitem(peer_models.RECIPES, stage, tiny)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the quantised peers in one folder, where the tests after the first find them."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "dcet" / "peers"


@pytest.fixture(autouse=True)
def torch_threads() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.dcet")


def run(bundle: Path, output: Path, *options: str) -> dict[str, Any]:
    command = ["peers", str(bundle), "--json", str(output), "--threads", "1", "--repeats", "4"]
    result = CliRunner().invoke(main, [*command, *options])
    assert result.exit_code == 0, result.output
    peers = ("BERT-base", "Wav2Vec2-base", "ResNet-50")
    for name in (*peers, *STACKS, "onnxruntime-cpu (first choice of target cpu)"):
        assert name in result.stdout
    return dict(json.loads(output.read_text(encoding="utf-8")))


def test_every_stage_has_its_peer_and_the_total_has_all(bundle: Path, tmp_path: Path) -> None:
    report = run(bundle, tmp_path / "peers.json")
    assert report["schema"] == PEERS_SCHEMA
    assert report["engine"]["reason"]
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert list(stages) == ["text", "audio", "face", "encoders", "step", "total"]
    assert (
        report["versus"] is stages["total"]["versus_ms"] is stages["total"]["versus_ratio"] is None
    )
    assert stages["step"]["peer"] is None
    assert stages["step"]["peer_ms"] == stages["step"]["ratio"] == {}
    assert stages["face"]["peer"]["name"] == "ResNet-50"
    encoders = ("text", "audio", "face")
    for name in (*encoders, "encoders", "total"):
        ours, theirs = stages[name]["dcet_ms"], stages[name]["peer_ms"]
        assert theirs.keys() == stages[name]["ratio"].keys() == STACKS.keys()
        for stack in STACKS:
            assert min(ours["n"], theirs[stack]["n"]) >= 4  # rounds, each of a turn or more
            assert ours["n"] == stages["total"]["dcet_ms"]["n"]
            assert theirs[stack]["n"] == stages["total"]["peer_ms"][stack]["n"]
            ratio = theirs[stack]["p50"] / ours["p50"]
            assert stages[name]["ratio"][stack] == pytest.approx(ratio)
    for stack in STACKS:
        parts = sum(stages[name]["peer_ms"][stack]["mean"] for name in encoders)
        assert stages["encoders"]["peer_ms"][stack]["mean"] == pytest.approx(parts)
        assert stages["total"]["peer_ms"][stack]["mean"] == pytest.approx(parts)
    parts = sum(stages[name]["dcet_ms"]["mean"] for name in encoders)
    assert stages["encoders"]["dcet_ms"]["mean"] == pytest.approx(parts)
    parts = sum(stages[name]["dcet_ms"]["mean"] for name in ("encoders", "step"))
    assert stages["total"]["dcet_ms"]["mean"] > parts


def test_the_page_of_figures_has_a_row_of_it(bundle: Path, tmp_path: Path) -> None:
    run(bundle, tmp_path / "it.json")
    page = render_figures(tmp_path)
    assert "## Compared with BERT-base" in page
    assert page.count("`it.json`") == 1


def test_another_bundle_runs_in_the_same_rounds(bundle: Path, tmp_path: Path) -> None:
    other = write_tiny_bundle(
        tmp_path / "ir.dcet", target="openvino-cpu", engines=("openvino", "onnxruntime")
    )
    report = run(bundle, tmp_path / "peers.json", "--versus", str(other))
    assert report["versus"]["bundle"]["file"] == "ir.dcet"
    assert report["versus"]["engine"]["name"] == "openvino-cpu"
    for stage in report["stages"]:
        ours, versus = stage["dcet_ms"], stage["versus_ms"]
        assert versus["n"] >= 4
        assert stage["versus_ratio"] == pytest.approx(versus["p50"] / ours["p50"])


def test_the_turn_is_the_one_asked_for(bundle: Path, tmp_path: Path) -> None:
    turn = run(bundle, tmp_path / "peers.json", "--audio-s", "3.6")["turn"]
    assert turn == {"tokens": 16, "audio_s": 3.6, "faces": 8, "face_side": 96}
    made = three_sense_turn(Bundle.open(bundle), audio_s=3.6)
    assert made.audio is not None
    assert len(made.audio) == 57_600


def test_peers_are_given_the_same_turn(bundle: Path) -> None:
    turn = three_sense_turn(Bundle.open(bundle))
    outputs = {stage: peer.run() for stage, peer in build_peers(turn, threads=1).items()}
    shapes = {stage: tuple(output.shape) for stage, output in outputs.items()}
    assert shapes["text"] == (1, turn.tokens, 32)
    assert shapes["audio"] == (1, 149, 32)  # 3 s in frames of 20 ms
    assert shapes["face"][0] == 8
    assert not any(output.requires_grad for output in outputs.values())


def test_a_peer_says_the_same_in_both_stacks(bundle: Path, cache: Path) -> None:
    """They agree as nearly as int8 can: among others, both scale and normalise the faces alike.
    Int8 leaves little of random convolutions of audio, so that peer is judged by its shape."""
    peers = build_peers(three_sense_turn(Bundle.open(bundle)), threads=1)
    for stage, infer in openvino_peers(peers, 1, untracked).items():
        expected, found = peers[stage].run().numpy(), infer()
        assert found.shape == expected.shape
        likeness = expected.ravel() @ found.ravel() / np.linalg.norm(expected)
        assert stage == "audio" or likeness / np.linalg.norm(found) > 0.98
        file = next(cache.glob(f"{peers[stage].recipe.name}-*.xml"))
        assert file.read_text(encoding="utf-8").count('type="FakeQuantize"') >= 4


def test_peers_are_quantised_once(bundle: Path, cache: Path) -> None:
    peers = build_peers(three_sense_turn(Bundle.open(bundle)), threads=1)
    openvino_peers(peers, 1, untracked)
    written = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    openvino_peers(peers, 1, untracked)
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == written


def test_a_damaged_cache_is_named(
    bundle: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = build_peers(three_sense_turn(Bundle.open(bundle)), threads=1)
    openvino_peers(peers, 1, untracked)
    shutil.copytree(cache, tmp_path / "dcet" / "peers")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for file in (tmp_path / "dcet" / "peers").glob("BERT-base-*.xml"):
        file.write_text("<net", encoding="utf-8")
    with pytest.raises(
        EngineError, match=r"(?s)BERT-base-.*\.xml: OpenVINO cannot load it.*delete it"
    ):
        openvino_peers(peers, 1, untracked)


def untracked(items: Sequence[T], label: str) -> Iterator[T]:
    """Progress that is not shown."""
    return iter(items)


@pytest.mark.parametrize(("senses", "lacking"), [((), "audio and no face"), (("audio",), "face")])
def test_a_bundle_that_lacks_a_sense_is_an_error(
    tmp_path: Path, senses: tuple[str, ...], lacking: str
) -> None:
    bundle = write_tiny_bundle(tmp_path / "deaf.dcet", senses=senses)
    result = CliRunner().invoke(main, ["peers", str(bundle)])
    assert result.exit_code == 2
    assert f"no {lacking} encoder" in result.stderr


def test_threads_are_kept_on_the_cores_asked_for_and_set_free_again() -> None:
    before = os.sched_getaffinity(0)
    with pinned(1):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("cores", [0, 4096])
def test_more_cores_than_there_are_is_an_error(cores: int) -> None:
    with pytest.raises(ConfigError, match="the usable cores"), pinned(cores):
        pass
