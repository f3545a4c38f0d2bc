"""A bundle's turn beside that of tiny peers: the figures, and that both are held to the same."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dcet.benchmarks import peer_models
from dcet.benchmarks.cli import main
from dcet.benchmarks.peer_models import RECIPES, Recipe, build_peers
from dcet.benchmarks.peers import PEERS_SCHEMA
from dcet.benchmarks.pinning import pinned
from dcet.benchmarks.raw_turn import three_sense_turn
from dcet.runtime import Bundle
from dcet.runtime.errors import ConfigError
from tests.tiny_bundle import write_tiny_bundle

TINY: dict[str, dict[str, Any]] = {
    "text": {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2},
    "audio": {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2},
    "face": {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]},
}


@pytest.fixture(autouse=True)
def tiny_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage, settings in TINY.items():
        recipe = RECIPES[stage]
        tiny = Recipe(recipe.name, recipe.model, recipe.config, settings)
        monkeypatch.setitem(peer_models.RECIPES, stage, tiny)


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
    for name in ("BERT-base", "Wav2Vec2-base", "ResNet-50", "all of them"):
        assert name in result.stdout
    return dict(json.loads(output.read_text()))


def test_every_stage_has_its_peer_and_the_total_has_all(bundle: Path, tmp_path: Path) -> None:
    report = run(bundle, tmp_path / "peers.json")
    assert report["schema"] == PEERS_SCHEMA
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert list(stages) == ["text", "audio", "face", "step", "total"]
    assert stages["step"]["peer"] is stages["step"]["ratio"] is None
    assert stages["face"]["peer"]["name"] == "ResNet-50"
    for name in ("text", "audio", "face", "total"):
        ours, theirs = stages[name]["dcet_ms"], stages[name]["peer_ms"]
        assert (ours["n"], theirs["n"]) == (4, 4)
        assert stages[name]["ratio"] == pytest.approx(theirs["p50"] / ours["p50"])
    parts = sum(stages[name]["peer_ms"]["mean"] for name in ("text", "audio", "face"))
    assert stages["total"]["peer_ms"]["mean"] == pytest.approx(parts)
    parts = sum(stages[name]["dcet_ms"]["mean"] for name in ("text", "audio", "face", "step"))
    assert stages["total"]["dcet_ms"]["mean"] > parts


def test_the_turn_is_the_one_asked_for(bundle: Path, tmp_path: Path) -> None:
    turn = run(bundle, tmp_path / "peers.json", "--audio-s", "3.6")["turn"]
    assert turn == {"tokens": 16, "audio_s": 3.6, "faces": 8, "face_side": 96}
    made = three_sense_turn(Bundle.open(bundle), audio_s=3.6)
    assert made.audio is not None
    assert len(made.audio) == 57_600


def test_peers_are_given_the_same_turn(bundle: Path) -> None:
    turn = three_sense_turn(Bundle.open(bundle))
    outputs = {stage: peer.run() for stage, peer in build_peers(turn, threads=1).items()}
    shapes = {stage: tuple(output.last_hidden_state.shape) for stage, output in outputs.items()}  # type: ignore[attr-defined]
    assert shapes["text"] == (1, turn.tokens, 32)
    assert shapes["audio"] == (1, 149, 32)  # 3 s in frames of 20 ms
    assert shapes["face"][0] == 8
    assert not any(output.last_hidden_state.requires_grad for output in outputs.values())  # type: ignore[attr-defined]


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
