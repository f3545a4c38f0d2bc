"""Figures on constructed conversations, for every kind of outcome."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import torch

from dcet.data.metrics import emotion_metrics
from dcet.runtime.labels import MODALITIES
from dcet.training.device import CPU, device_of, moved
from dcet.training.dialogue.batches import Batch, collate
from dcet.training.dialogue.forward import DIALOGUES_AT_ONCE, Outputs, converse
from dcet.training.fusion.encoded_dialogues import WORD_ERROR_RATES, EncodedDialogues
from dcet.training.fusion.generator import Generator
from dcet.training.fusion.outcomes import CORRUPT, MISSING, WRONG, Outcomes, random_outcomes
from dcet.training.network.model import Dcet, FusionInputs


def construct(
    dialogues: EncodedDialogues,
    chunk: Sequence[int],
    generator: Generator,
    outcomes_for: Callable[[int], Outcomes],
) -> tuple[Batch, FusionInputs]:
    """Construct conversations of the dialogues with the numbers in `chunk`."""
    parts = []
    for i in chunk:
        item, features = dialogues.items[i], dialogues.features[i]
        outcomes = outcomes_for(len(item.emotion))
        errors = torch.randint(1, len(WORD_ERROR_RATES), (len(item.emotion),))
        variant = torch.where(outcomes.table[:, 0] == CORRUPT, errors, 0)
        text = features[variant, torch.arange(len(variant))]
        parts.append(generator.inputs(item, text, outcomes))
    inputs = FusionInputs(*map(torch.cat, zip(*parts, strict=True)))
    return collate([dialogues.items[i] for i in chunk]), inputs


@torch.inference_mode()
def run_constructed(
    model: Dcet,
    dialogues: EncodedDialogues,
    generator: Generator,
    outcomes_for: Callable[[int], Outcomes] = random_outcomes,
    seed: int = 0,
) -> list[Outputs]:
    """Run conversations of all dialogues, in order. The outputs lie on the CPU."""
    model.eval()
    count, device = len(dialogues.items), device_of(model)
    outputs = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for start in range(0, count, DIALOGUES_AT_ONCE):
            chunk = range(start, min(start + DIALOGUES_AT_ONCE, count))
            made = construct(dialogues, chunk, generator, outcomes_for)
            outputs.append(moved(converse(model, *moved(made, device)), CPU))
    return outputs


def judge_constructed(
    model: Dcet,
    dialogues: EncodedDialogues,
    generator: Generator,
    outcomes_for: Callable[[int], Outcomes] = random_outcomes,
) -> tuple[dict[str, Any], list[float]]:
    """Return the emotion metrics of all dialogues and the mean weight of each modality."""
    outputs = run_constructed(model, dialogues, generator, outcomes_for)
    labels = torch.cat([item.emotion for item in dialogues.items])
    probabilities = torch.cat([output.logits for output in outputs]).softmax(dim=-1)
    weights = torch.cat([output.weights for output in outputs]).mean(dim=0)
    return emotion_metrics(labels, probabilities), weights.tolist()


def constructed_figures(
    model: Dcet, dialogues: EncodedDialogues, generator: Generator
) -> dict[str, Any]:
    """Return weighted F1, ECE and mean modality weights for all masks and kinds of corruption."""
    masks = [kept for size in (1, 2, 3) for kept in combinations(MODALITIES, size)]
    figures: dict[str, Any] = {"n": sum(len(item.emotion) for item in dialogues.items)}
    outcomes = {
        "+".join(kept): {name: MISSING for name in MODALITIES if name not in kept} for kept in masks
    }
    outcomes |= {f"{name} corrupted": {name: CORRUPT} for name in MODALITIES}
    outcomes["face of somebody else"] = {"face": WRONG}
    for name, outcome in outcomes.items():
        metrics, weights = judge_constructed(
            model, dialogues, generator, partial(Outcomes.same, **outcome)
        )
        figures[name] = {
            "weighted_f1": metrics["weighted_f1"],
            "ece": metrics["ece"],
            "modality_weights": dict(zip(MODALITIES, weights, strict=True)),
        }
    return figures
