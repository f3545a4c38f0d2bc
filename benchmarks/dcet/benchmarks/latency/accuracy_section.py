"""The accuracy section of the page: figures of the manifest, and what the memory is worth."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from dcet.benchmarks.latency.plots import dumbbells
from dcet.benchmarks.page.markup import card, legend, table

FIGURES = (
    ("Weighted F1", ("weighted_f1",)),
    ("Macro F1", ("macro_f1",)),
    ("Accuracy", ("accuracy",)),
    ("Sentiment CCC", ("sentiment", "ccc")),
    ("Shift F1", ("shift", "f1")),
    ("Calibration error (ECE)", ("ece",)),
)


def accuracy_section(accuracy: Mapping[str, Any]) -> str:
    """Show each part whose figures the manifest has; nothing where it has none."""
    dev, reset, ablation = (accuracy.get(key) for key in ("dev", "dev_memory_reset", "ablation"))
    if not dev and not ablation:
        return ""
    left = (_ablation(ablation) if ablation else "") + (_figures(dev, reset) if dev else "")
    right = _classes(dev, reset) if dev else ""
    return (
        "<h2>Accuracy, and what the memory is worth</h2>"
        '<p class="note">Figures of the checkpoint on the dev split, as the bundle carries them. '
        "The ablation plays the same model with its memory reset after every turn.</p>"
        f'<div class="grid"><div>{left}</div>{right}</div>'
    )


def _ablation(ablation: Mapping[str, Any]) -> str:
    kept, reset = ablation["weighted_f1"], ablation["weighted_f1_reset"]
    rows = [
        (f"seed {seed}", without, with_)
        for seed, without, with_ in zip(ablation["seeds"], reset, kept, strict=True)
    ]
    plot = dumbbells("Weighted F1 without and with memory, by seed", rows)
    note = ""
    if others := ablation.get("weighted_f1_speaker_reset"):
        note = f"Lost when only the speakers' own memory is reset: {_spread(kept, others)}."
    return card(
        "Weighted F1 lost when the memory is reset",
        f'<div class="value">{_spread(kept, reset)}</div>{plot}{_colours()}',
        note,
    )


def _spread(kept: Sequence[float], reset: Sequence[float]) -> str:
    lost = [with_ - without for with_, without in zip(kept, reset, strict=True)]
    if len(lost) == 1:
        return f"{lost[0]:.4f} (one seed)"
    return f"{mean(lost):.4f} ± {stdev(lost):.4f} (mean ± sd, {len(lost)} seeds)"


def _colours() -> str:
    return legend([("fill-3", "memory reset after every turn"), ("fill-1", "with memory")])


def _classes(dev: Mapping[str, Any], reset: Mapping[str, Any] | None) -> str:
    if reset is None:
        rows = [[name, f"{f1:.3f}"] for name, f1 in dev["per_class_f1"].items()]
        return card("F1 by emotion", table(["", "F1"], rows))
    rows_of_both = [
        (name, reset["per_class_f1"][name], f1) for name, f1 in dev["per_class_f1"].items()
    ]
    return card("F1 by emotion", f"{dumbbells('F1 by emotion', rows_of_both)}{_colours()}")


def _figures(dev: Mapping[str, Any], reset: Mapping[str, Any] | None) -> str:
    columns = [dev] if reset is None else [dev, reset]
    head = ["", "with memory", "memory reset"][: 1 + len(columns)]
    rows = [[name, *(f"{_at(figures, path):.3f}" for figures in columns)] for name, path in FIGURES]
    count = f"{dev['n']:,} utterances." if "n" in dev else ""
    return card("Figures", table(head, rows), count)


def _at(figures: Mapping[str, Any], path: Sequence[str]) -> float:
    value: Any = figures
    for key in path:
        value = value[key]
    return float(value)
