"""Selection among runs of several seeds, and the spread of their figures."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dcet.runtime.errors import ConfigError
from dcet.runtime.files import temporary_folder
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.temperature import calibrate
from dcet.training.run.run_folder import read_config
from dcet.training.saved import checkpoint
from dcet.training.saved.checkpoint import Checkpoint


def select(
    runs: Sequence[Path], meld: Path, output: Path, card: Path | None = None
) -> Mapping[str, Any]:
    """Write to `output` the best on dev of the runs and the average of their weights.

    Runs that began with the same weights can be averaged (model soups, Wortsman et al., ICML 2022).
    The metrics say which was `kept`, and gain `ablation`: for every seed the dev weighted F1, and
    that of the same weights with the memory reset before every turn. Returns the metrics.
    """
    text = None if card is None else _read_card(card)
    seeds = {run: _seed(run) for run in runs}
    if len(set(seeds.values())) < len(runs):
        raise ConfigError(
            f"expected runs of different seeds, got {', '.join(map(str, seeds.values()))}; "
            "leave out what is there twice"
        )
    candidates = {f"seed {seeds[run]}": checkpoint.load(run) for run in runs}
    for name, candidate in candidates.items():
        if "dev_memory_reset" not in candidate.metrics:
            raise ConfigError(
                f"{name} is not finished; give its `dcet-train fit` again to resume it"
            )
    ablation = {
        "seeds": list(seeds.values()),
        "weighted_f1": [_weighted_f1(candidate) for candidate in candidates.values()],
        "weighted_f1_reset": [
            _weighted_f1(candidate, "dev_memory_reset") for candidate in candidates.values()
        ],
    }
    if len(candidates) > 1:
        with temporary_folder() as place:
            folder = place / "average"
            checkpoint.save(folder, _average(list(candidates.values())))
            bias = next(iter(candidates.values())).model.step.heads.calibration_bias
            calibrate(folder, Corpus.of_meld(meld, "dev"), bias)
            candidates["average"] = checkpoint.load(folder)
    kept = max(candidates, key=lambda name: _weighted_f1(candidates[name]))
    best = candidates[kept]
    metrics = {"kept": kept, **best.metrics, "ablation": ablation}
    checkpoint.save(
        output, dataclasses.replace(best, metrics=metrics, card=best.card if text is None else text)
    )
    return metrics


def _weighted_f1(candidate: Checkpoint, part: str = "dev") -> float:
    return float(candidate.metrics[part]["weighted_f1"])


def _average(candidates: Sequence[Checkpoint]) -> Checkpoint:
    """Return the first of them with the mean of all their weights."""
    first = candidates[0]
    states = [candidate.model.state_dict() for candidate in candidates]
    if len({tuple((name, value.shape) for name, value in state.items()) for state in states}) > 1:
        raise ConfigError("the runs differ in the shape of their weights; select among one kind")
    mean = {
        name: torch.stack([state[name].float() for state in states]).mean(dim=0).to(value.dtype)
        for name, value in states[0].items()
    }
    model = copy.deepcopy(first.model)
    model.load_state_dict(mean)
    return dataclasses.replace(first, model=model)


def _read_card(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: expected a model card as UTF-8 text ({error})") from error


def _seed(run: Path) -> int:
    seed = read_config(run).get("seed")
    if not isinstance(seed, int):
        raise ConfigError(
            f"{run}: expected a run of `dcet-train fit`, whose config.json has a seed, got {seed!r}"
        )
    return seed
