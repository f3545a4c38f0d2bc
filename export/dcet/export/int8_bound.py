"""The bound on the cost of int8, the cost on labelled conversations, and the evidence of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from dcet.data.default_turns import default_turns
from dcet.data.metrics import emotion_metrics
from dcet.data.playing import play
from dcet.data.turns import Turns
from dcet.export.graphs import ENDS, FRONT_END, NEXT_TO_ENDS
from dcet.export.parity import ENGINES_CHECKED, describe
from dcet.quantization.bounded import Bounded
from dcet.quantization.calibration_batches import spread_batches
from dcet.quantization.int8 import Batch, Quantizer, quantize_int8
from dcet.quantization.layers import int8_layers, weighted_layers
from dcet.quantization.sensitivity import mean_kl
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.golden import replay_golden, rows_too_far
from dcet.runtime.bundle.manifest import KeptLayer, LabelledSet, Quantization, QuantizedGraph

MAX_DROP = 0.005
METRIC = "weighted_f1"
CALLS = 100  # of each graph, that it is calibrated with

Models = Mapping[str, ModelProto]  # by graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The most that quantisation may cost, and the conversations that it is measured on."""

    turns: Turns | None = None  # None: those that ship with the checkpoint
    max_drop: float = MAX_DROP
    corpora: Path | None = None  # to measure the encoders on, too

    @property
    def labelled(self) -> Turns:
        """The labelled conversations."""
        return default_turns() if self.turns is None else self.turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Int8 graphs on the labelled turns and the golden sequences."""

    probabilities: NDArray[np.float64]  # (n, 7)
    figures: Mapping[str, Any]
    misses: str | None


def quantise_graph(
    model: ModelProto, batches: Sequence[Batch], quantizer: Quantizer, *, symmetric: bool
) -> ModelProto:
    """Return a graph in int8, but for the layers that cost the most there.

    Raises QuantizationError.
    """
    kept = (*FRONT_END, *ENDS, *(NEXT_TO_ENDS if symmetric else ()))
    keep = [layer.node for layer in weighted_layers(model) if layer.weight.startswith(kept)]
    chosen = spread_batches(batches, CALLS)
    return quantize_int8(model, chosen, quantizer=quantizer, keep=keep, symmetric=symmetric)


def judge(bundle: Bundle, bound: Bound, engine: str, before: NDArray[np.float64]) -> Judged:
    """Play the labelled turns on `engine` and the golden sequences on every engine that is checked.

    before: (n, 7), what the float graphs give for the labelled turns
    """
    turns = bound.labelled
    probabilities = play(bundle, turns, engine)
    figures = emotion_metrics(turns.labels, probabilities)
    least = emotion_metrics(turns.labels, before)[METRIC] - bound.max_drop
    misses = []
    if figures[METRIC] < least:
        misses.append(
            f"weighted F1 of {turns.name}: expected at least {least:.4f}, which is "
            f"{bound.max_drop:g} less than in float, got {figures[METRIC]:.4f}"
        )
    for name in ENGINES_CHECKED:
        rows = rows_too_far(replay_golden(bundle, bundle.engine(name)))
        misses += [f"{name}: {describe(bundle, row)}" for row in rows[:1]]
    return Judged(probabilities=probabilities, figures=figures, misses="; ".join(misses) or None)


def evidence(
    bound: Bound,
    floats: Models,
    before: NDArray[np.float64],
    found: Bounded[Judged],
    *,
    quantizer: Quantizer,
    symmetric: bool,
    engine: str,
) -> Quantization:
    """Say in the manifest's terms what was quantised, how, and what it costs."""
    turns, after = bound.labelled, found.verdict.probabilities
    float_figures, figures = emotion_metrics(turns.labels, before), found.verdict.figures
    return Quantization(
        quantizer=f"{quantizer} {metadata.version(quantizer)}",
        symmetric=symmetric,
        engine=engine,
        calibration=LabelledSet(
            name=turns.name,
            sha256=turns.sha256,
            turns=len(turns),
            conversations=len(turns.conversations),
        ),
        metric=METRIC,
        before=float_figures[METRIC],
        after=figures[METRIC],
        max_drop=bound.max_drop,
        per_class_f1_before=float_figures["per_class_f1"],
        per_class_f1_after=figures["per_class_f1"],
        label_agreement=float((before.argmax(axis=1) == after.argmax(axis=1)).mean()),
        mean_kl=mean_kl(before, after),
        graphs=dict(_layers_kept(floats, found)),
    )


def _layers_kept(floats: Models, found: Bounded[Judged]) -> Iterator[tuple[str, QuantizedGraph]]:
    """Yield how many layers each graph has, and which of them are in float, with what they cost
    in int8 where that was measured."""
    costs = {
        (row.graph, row.layer.node): KeptLayer(
            layer=row.layer.title,
            mean_kl=row.mean_kl,
            max_abs_probability=row.max_abs_probability,
        )
        for row in found.restored
    }
    for id, model in found.graphs.items():
        int8 = {layer.node for layer in int8_layers(model, floats[id])}
        layers = weighted_layers(floats[id], keep=FRONT_END)
        kept = [layer for layer in layers if layer.node not in int8]
        yield (
            id,
            QuantizedGraph(
                layers=len(layers),
                kept=tuple(
                    costs.get((id, layer.node)) or KeptLayer(layer=layer.title) for layer in kept
                ),
            ),
        )
