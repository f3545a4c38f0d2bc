"""Out-of-fold soft labels: predictions for the training split by models not trained on the turn.

A model that was fitted to a label repeats it. So each part of the training split is predicted by
the model that was trained on the other parts; `dcet-train fit --soft-labels` mixes these
probabilities with the labels (self-distillation, Furlanello et al., ICML 2018).
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from dcet.runtime.cli.paths import why_no_file
from dcet.runtime.errors import ConfigError, WriteError
from dcet.runtime.files import atomic_path
from dcet.training.corpora.corpus import Corpus
from dcet.training.device import CPU
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.fit import FitConfig, fit_split
from dcet.training.dialogue.forward import predict
from dcet.training.run.progress import Progress
from dcet.training.saved import checkpoint


def write_soft_labels(
    config: FitConfig,
    runs: Path,
    output: Path,
    folds: int,
    progress: Progress,
    device: torch.device = CPU,
) -> None:
    """Train `folds` models under `runs`, or resume them; write `output` (npz).

    The array `probabilities` (n, 7) has a row for each of the CSV. Raises ConfigError, DataError or
    WriteError.
    """
    if reason := why_no_file(output):
        raise WriteError(f"{output}: {reason}")
    folder = Path(config.meld)
    train_split, dev = Corpus.of_meld(folder, "train"), Corpus.of_meld(folder, "dev")
    count = len(train_split.dialogues)
    if not 2 <= folds <= count:
        raise ConfigError(f"--folds: expected 2 to {count}, the number of dialogues, got {folds}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed)).tolist()
    probabilities = np.zeros_like(train_split.soft)
    for fold in range(folds):
        judged = [train_split.dialogues[i] for i in order[fold::folds]]
        others = [
            train_split.dialogues[i]
            for part in range(folds)
            if part != fold
            for i in order[part::folds]
        ]
        run = runs / f"fold{fold}"
        progress.say(f"fold {fold + 1} of {folds}")
        fit_split(
            dataclasses.replace(config, seed=config.seed + fold),
            run,
            train_split.only(others),
            dev,
            progress,
            device,
        )
        judge = checkpoint.load(run, device)
        items = examples(train_split.only(judged), judge.tokenizer)
        rows = [turn.row for dialogue in judged for turn in dialogue.turns]
        probabilities[rows] = predict(judge.model, items).probabilities
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, probabilities=probabilities)
