"""Second opinions come from models that never saw what they judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcet.data.meld import Dialogue
from dcet.runtime.errors import ConfigError
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue import soft_labels
from dcet.training.dialogue.batches import Example, examples
from dcet.training.dialogue.fit import FitConfig
from dcet.training.dialogue.fit import fit_split as real_fit_split
from dcet.training.dialogue.forward import Predictions
from dcet.training.dialogue.forward import predict as real_predict
from dcet.training.dialogue.soft_labels import write_soft_labels
from dcet.training.run.runs import Progress
from dcet.training.saved.checkpoint import load
from tests.tiny_training import quiet, tiny_config


@pytest.fixture
def config(meld: Path, bert: Path) -> FitConfig:
    return tiny_config(meld, bert, epochs=1)


def ids(dialogues: Sequence[Dialogue]) -> set[str]:
    return {dialogue.id for dialogue in dialogues}


def test_nobody_judges_what_they_learned_from(
    config: FitConfig, meld: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[str]] = []
    seeds: list[int] = []
    judged: list[int] = []

    def fit_split(
        config: FitConfig, run: Path, train: Corpus, dev: Corpus, progress: Progress
    ) -> Any:
        learned.append(ids(train.dialogues))
        seeds.append(config.seed)
        return real_fit_split(config, run, train, dev, progress)

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
        assert opinions_are_of(tmp_path / "runs" / f"fold{fold}", corpus, part)


def opinions_are_of(run: Path, corpus: Corpus, part: set[str]) -> bool:
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
