"""Soft labels come from models that were not trained on the turns they predict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dcet.data.meld import Dialogue
from dcet.runtime.errors import ConfigError, WriteError
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue import soft_labels
from dcet.training.dialogue.batches import Example, examples
from dcet.training.dialogue.fit import FitConfig
from dcet.training.dialogue.fit import fit_split as real_fit_split
from dcet.training.dialogue.forward import Predictions
from dcet.training.dialogue.forward import predict as real_predict
from dcet.training.dialogue.soft_labels import write_soft_labels
from dcet.training.run.progress import Progress
from dcet.training.saved.checkpoint import load
from tests.tiny_training import Killed, Quiet, quiet, tiny_config


@pytest.fixture
def config(meld: Path, bert: Path) -> FitConfig:
    return tiny_config(meld, bert, epochs=1)


def ids(dialogues: Sequence[Dialogue]) -> set[str]:
    return {dialogue.id for dialogue in dialogues}


def test_no_model_predicts_what_it_was_trained_on(
    config: FitConfig, meld: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[str]] = []
    seeds: list[int] = []
    judged: list[int] = []

    def fit_split(
        config: FitConfig,
        run: Path,
        train_split: Corpus,
        dev: Corpus,
        progress: Progress,
        device: torch.device,
    ) -> Any:
        learned.append(ids(train_split.dialogues))
        seeds.append(config.seed)
        return real_fit_split(config, run, train_split, dev, progress, device)

    def predict(model: Any, items: Sequence[Example]) -> Predictions:
        judged.append(len(items))
        return real_predict(model, items)

    monkeypatch.setattr(soft_labels, "fit_split", fit_split)
    monkeypatch.setattr(soft_labels, "predict", predict)
    output = tmp_path / "soft.npz"
    write_soft_labels(config, tmp_path / "runs", output, 3, quiet)

    corpus = Corpus.of_meld(meld, "train", soft_labels=output)
    everyone = ids(corpus.dialogues)
    assert len(learned) == 3
    # Each dialogue was kept from exactly one model, and that one judged it.
    kept_from = [everyone - saw for saw in learned]
    assert sorted(id for part in kept_from for id in part) == sorted(everyone)
    assert judged == [len(part) for part in kept_from]
    assert len(set(seeds)) == 3
    assert corpus.soft.sum(axis=1) == pytest.approx(np.ones(len(corpus.soft)), abs=1e-5)
    for fold, part in enumerate(kept_from):
        assert probabilities_are_of(tmp_path / "runs" / f"fold{fold}", corpus, part)


def probabilities_are_of(run: Path, corpus: Corpus, part: set[str]) -> bool:
    judge = load(run)
    dialogues = [dialogue for dialogue in corpus.dialogues if dialogue.id in part]
    items = examples(corpus.only(dialogues), judge.tokenizer)
    rows = [turn.row for dialogue in dialogues for turn in dialogue.turns]
    return np.allclose(corpus.soft[rows], real_predict(judge.model, items).probabilities, atol=1e-5)


@pytest.mark.parametrize("folds", [0, 1, 25])
def test_folds_that_cannot_be_are_refused(config: FitConfig, tmp_path: Path, folds: int) -> None:
    with pytest.raises(ConfigError, match=f"--folds: expected 2 to 24.* got {folds}"):
        write_soft_labels(config, tmp_path / "runs", tmp_path / "soft.npz", folds, quiet)
    assert not list(tmp_path.iterdir())


def test_killed_in_a_fold_they_end_as_if_they_never_had_been(
    config: FitConfig, tmp_path: Path
) -> None:
    class KillInSecondFold(Quiet):
        folds = 0

        def say(self, message: str) -> None:
            self.folds += message.startswith("fold")

        def advance(self, done: int, total: int, message: str) -> None:
            if self.folds == 2:
                raise Killed

    whole, resumed = tmp_path / "whole.npz", tmp_path / "resumed.npz"
    write_soft_labels(config, tmp_path / "whole", whole, 2, quiet)
    with pytest.raises(Killed):
        write_soft_labels(config, tmp_path / "resumed", resumed, 2, KillInSecondFold())
    assert not resumed.exists()
    write_soft_labels(config, tmp_path / "resumed", resumed, 2, quiet)
    arrays = [np.load(file)["probabilities"] for file in (whole, resumed)]
    assert np.array_equal(*arrays)


def test_an_output_that_cannot_be_written_is_found_before_training(
    config: FitConfig, tmp_path: Path
) -> None:
    with pytest.raises(WriteError, match="there is no folder"):
        write_soft_labels(config, tmp_path / "runs", tmp_path / "none" / "soft.npz", 2, quiet)
    assert not list(tmp_path.iterdir())
