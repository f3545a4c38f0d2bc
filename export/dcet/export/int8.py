"""The int8 graphs of a bundle, and what they cost on labelled conversations."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
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
from dcet.export.once import Once
from dcet.export.parity import ENGINES_CHECKED, describe
from dcet.quantization.bounded import Bounded, bounded
from dcet.quantization.calibration import record_batches, spread_batches
from dcet.quantization.int8 import Batch, quantize_int8
from dcet.quantization.layers import int8_layers, weighted_layers
from dcet.quantization.sensitivity import mean_kl, sensitivities
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.golden import replay_golden, rows_too_far
from dcet.runtime.bundle.manifest import KeptLayer, LabelledSet, Quantization, QuantizedGraph
from dcet.targets import Target

MAX_DROP = 0.005
METRIC = "weighted_f1"
CALLS = 100  # of each graph, that it is calibrated with

Models = Mapping[str, ModelProto]  # by graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What quantisation may cost, and on which conversations."""

    turns: Turns | None = None  # None: those that ship with the checkpoint
    max_drop: float = MAX_DROP
    corpora: Path | None = None  # to measure the encoders on, too

    @property
    def labelled(self) -> Turns:
        return default_turns() if self.turns is None else self.turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Int8 graphs on the labelled turns and the golden sequences."""

    probabilities: NDArray[np.float64]  # (n, 7)
    figures: Mapping[str, Any]
    misses: str | None


def quantise(
    floats: Models,
    target: Target,
    bound: Bound,
    write: Callable[[Models, Path], None],
    *,
    once: Once,
    plain: tuple[int, ...],
    progress: Callable[[str], None],
) -> tuple[Models, Quantization]:
    """The graphs that `target` wants in int8, and the evidence.

    write: makes a bundle of `floats` with those that it is given in the place of theirs
    plain: what the float graphs depend on beside the checkpoint

    Raises QuantizationError, and BoundError where the bound cannot be held.
    """
    symmetric = target.tensorrt is not None
    wanted = [id for id in floats if target.precision[id] == "int8"]
    engine = next(
        (name for name in target.engines if name in ENGINES_CHECKED and not symmetric), "openvino"
    )
    with tempfile.TemporaryDirectory(prefix="dcet-int8-") as folder:
        progress(f"float estimates of {len(bound.labelled)} turns")
        file = Path(folder, "float.dcet")
        write({}, file)
        plainly = Bundle.open(file)
        batches, before = once(
            ("batches", bound.labelled.sha256, *plain),
            lambda: record_batches(plainly, bound.labelled, "onnxruntime"),
        )
        quantised = {}
        for id in wanted:
            progress(f"int8 of {id}")
            quantised[id] = once(
                ("int8", id, target.quantizer, symmetric, bound.labelled.sha256, *plain),
                partial(_quantise, floats[id], batches.get(id, []), target.quantizer, symmetric),
            )

        def judge(models: Models) -> Judged:
            progress("conversations and golden sequences in int8")
            file = Path(folder, "int8.dcet")
            write(models, file)
            return _judge(Bundle.open(file), bound, engine, before)

        found = bounded(
            {id: floats[id] for id in wanted},
            quantised,
            judge,
            lambda: sensitivities(plainly, bound.labelled, floats, quantised, progress),
        )
    return found.graphs, _evidence(floats, target, bound, engine, before, found)


def _quantise(
    model: ModelProto, batches: list[Batch], quantizer: str, symmetric: bool
) -> ModelProto:
    kept = (*FRONT_END, *ENDS, *(NEXT_TO_ENDS if symmetric else ()))
    keep = [layer.node for layer in weighted_layers(model) if layer.weight.startswith(kept)]
    return quantize_int8(
        model,
        spread_batches(batches, CALLS),
        quantizer=quantizer,  # type: ignore[arg-type]
        keep=keep,
        symmetric=symmetric,
    )


def _judge(bundle: Bundle, bound: Bound, engine: str, before: NDArray[np.float64]) -> Judged:
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


def _evidence(
    floats: Models,
    target: Target,
    bound: Bound,
    engine: str,
    before: NDArray[np.float64],
    found: Bounded[Judged],
) -> Quantization:
    turns, after = bound.labelled, found.verdict.probabilities
    float_figures, figures = emotion_metrics(turns.labels, before), found.verdict.figures
    costs = {
        (row.graph, row.layer.node): KeptLayer(
            layer=row.layer.title,
            mean_kl=row.mean_kl,
            max_abs_probability=row.max_abs_probability,
        )
        for row in found.restored
    }
    graphs = {}
    for id, model in found.graphs.items():
        int8 = {layer.node for layer in int8_layers(model, floats[id])}
        layers = weighted_layers(floats[id], keep=FRONT_END)
        kept = [layer for layer in layers if layer.node not in int8]
        graphs[id] = QuantizedGraph(
            layers=len(layers),
            kept=tuple(
                costs.get((id, layer.node)) or KeptLayer(layer=layer.title) for layer in kept
            ),
        )
    return Quantization(
        quantizer=f"{target.quantizer} {metadata.version(target.quantizer)}",
        symmetric=target.tensorrt is not None,
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
        graphs=graphs,
    )
