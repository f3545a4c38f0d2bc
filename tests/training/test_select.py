"""The best on dev of several seeds and their average is kept."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from dcet.runtime.errors import ConfigError
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.fit import fit
from dcet.training.dialogue.select import select
from dcet.training.evaluate_text import evaluate_dialogues
from dcet.training.saved import checkpoint
from tests.tiny_training import TINY, quiet, tiny_config


@pytest.fixture(scope="module")
def other(meld: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another seed, that began with the same weights."""
    folder = tmp_path_factory.mktemp("runs") / "other"
    fit(tiny_config(meld, bert, seed=1), folder, quiet)
    return folder


def pretend(run: Path, folder: Path, weighted_f1: float) -> Path:
    """The same run, with another figure in its metrics."""
    shutil.copytree(run, folder)
    path = folder / "checkpoint" / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    metrics["dev"]["weighted_f1"] = weighted_f1
    path.write_text(json.dumps(metrics), encoding="utf-8")
    return folder


@pytest.mark.parametrize("best", [0, 1])
def test_the_best_seed_is_kept(
    run: Path, other: Path, meld: Path, tmp_path: Path, best: int
) -> None:
    runs = [
        pretend(folder, tmp_path / f"run{number}", 0.99 if number == best else 0.01)
        for number, folder in enumerate((run, other))
    ]
    card = tmp_path / "card.md"
    card.write_text("# A card\n", encoding="utf-8")
    metrics = select(runs, meld, tmp_path / "kept", card)
    kept = checkpoint.load(tmp_path / "kept")
    assert kept.sha256 == checkpoint.load(runs[best]).sha256
    assert kept.card == "# A card\n"
    assert kept.metrics == metrics
    assert metrics["kept"] == f"seed {best}"
    assert metrics["ablation"]["seeds"] == [0, 1]
    assert metrics["ablation"]["weighted_f1"][best] == 0.99


def test_the_average_is_kept_where_it_is_best(
    run: Path, other: Path, meld: Path, tmp_path: Path
) -> None:
    runs = [pretend(folder, tmp_path / folder.name, -1.0) for folder in (run, other)]
    metrics = select(runs, meld, tmp_path / "kept")
    assert metrics["kept"] == "average"
    kept = checkpoint.load(tmp_path / "kept")
    states = [checkpoint.load(folder).model.state_dict() for folder in runs]
    name = "step.memory.write.weight"
    mean = (states[0][name] + states[1][name]) / 2
    assert torch.allclose(kept.model.state_dict()[name], mean, atol=1e-3)
    figures = evaluate_dialogues(
        kept, meld / "dev_sent_emo.csv", Corpus.read(meld / "dev_sent_emo.csv")
    )
    assert figures["nll"] == pytest.approx(metrics["dev"]["nll"], abs=1e-3)


def test_an_unfinished_run_is_refused(run: Path, meld: Path, tmp_path: Path) -> None:
    copy = pretend(run, tmp_path / "run", 0.5)
    path = copy / "checkpoint" / "metrics.json"
    path.write_text(
        json.dumps({"dev": json.loads(path.read_text(encoding="utf-8"))["dev"]}), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="not finished"):
        select([copy], meld, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_checkpoint_without_its_run_is_refused(run: Path, meld: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a run of `dcet-train fit`"):
        select([run / "checkpoint"], meld, tmp_path / "kept")


def test_a_card_that_is_no_text_is_refused(run: Path, meld: Path, tmp_path: Path) -> None:
    (tmp_path / "card.md").write_bytes(b"\xff")
    for card in (tmp_path / "card.md", tmp_path):
        with pytest.raises(ConfigError, match="expected a model card as UTF-8 text"):
            select([run], meld, tmp_path / "kept", card)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("config", ["", "[1]", '{"seed": "one"}', '{"seed": [1]}'])
def test_a_run_with_a_broken_configuration_is_refused(
    run: Path, meld: Path, tmp_path: Path, config: str
) -> None:
    broken = Path(shutil.copytree(run, tmp_path / "run"))
    (broken / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run.*: expected"):
        select([broken], meld, tmp_path / "kept")


def test_the_same_seed_twice_is_refused(run: Path, meld: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="different seeds, got 0, 0"):
        select([run, pretend(run, tmp_path / "run", 0.5)], meld, tmp_path / "kept")


def test_runs_of_another_shape_are_refused(
    run: Path, meld: Path, bert: Path, tmp_path: Path
) -> None:
    wider = tmp_path / "wider"
    model = type(TINY)(width=32, layers=1, heads=2, audio_length=3, face_length=3)
    fit(tiny_config(meld, bert, seed=5, epochs=1, model=model), wider, quiet)
    with pytest.raises(ConfigError, match="shape of their weights"):
        select([run, wider], meld, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
