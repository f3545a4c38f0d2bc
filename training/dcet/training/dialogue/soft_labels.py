"""Second opinions on the training labels, from models that never saw the turns they judge.

A model that was fitted to a label repeats it. Cross-fitting asks for each part of the training
split the model trained on the other parts; `dcet-train fit --soft-labels` mixes these opinions with
the labels (self-distillation, Furlanello et al., ICML 2018).
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from dcet.runtime.errors import ConfigError
from dcet.runtime.files import atomic_path
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.fit import FitConfig, fit_split
from dcet.training.dialogue.forward import predict
from dcet.training.run.runs import Progress
from dcet.training.saved import checkpoint


def write_soft_labels(
    config: FitConfig, runs: Path, output: Path, folds: int, progress: Progress
) -> None:
    """Train `folds` models under `runs`; write `output` (npz), probabilities (n, 7) by row."""
    folder = Path(config.meld)
    train, dev = Corpus.of_meld(folder, "train"), Corpus.of_meld(folder, "dev")
    count = len(train.dialogues)
    if not 2 <= folds <= count:
        raise ConfigError(f"--folds: expected 2 to {count}, the number of dialogues, got {folds}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed)).tolist()
    opinions = np.zeros_like(train.soft)
    for fold in range(folds):
        judged = [train.dialogues[i] for i in order[fold::folds]]
        others = [
            train.dialogues[i] for part in range(folds) if part != fold for i in order[part::folds]
        ]
        run = runs / f"fold{fold}"
        fit_split(
            dataclasses.replace(config, seed=config.seed + fold),
            run,
            train.only(others),
            dev,
            progress,
        )
        judge = checkpoint.load(run)
        items = examples(train.only(judged), judge.tokenizer)
        rows = [turn.row for dialogue in judged for turn in dialogue.turns]
        opinions[rows] = predict(judge.model, items).probabilities
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, probabilities=opinions)
