"""Keeping the weights of the best epoch on dev."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dcet.training.run.loop import Judgement
from dcet.training.saved import checkpoint


def keep_best(
    notes: dict[str, Any],
    epoch: int,
    figures: Mapping[str, Any],
    made: Callable[[], checkpoint.Checkpoint],
    folder: Path,
) -> Judgement:
    """Save what `made` makes, if no epoch before had as high a weighted F1; say how this one was.

    notes: of the training; `best` is the epoch that was kept, from 1, and its weighted F1
    """
    best = notes["best"]
    if not best or figures["weighted_f1"] > best["weighted_f1"]:
        notes["best"] = {"epoch": epoch + 1, "weighted_f1": figures["weighted_f1"]}
        checkpoint.save(folder, made())
    summary = " ".join(f"{name} {figures[name]:.4f}" for name in ("weighted_f1", "macro_f1"))
    return Judgement(figures, summary)
