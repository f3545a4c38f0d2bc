"""The page shows the accuracy that a manifest has, and nothing where it has none."""

from typing import Any

from dcet.benchmarks.latency.accuracy_section import accuracy_section
from dcet.runtime.labels import EMOTIONS

DEV: dict[str, Any] = {
    "n": 1109,
    "weighted_f1": 0.62,
    "macro_f1": 0.45,
    "accuracy": 0.63,
    "ece": 0.03,
    "per_class_f1": dict.fromkeys(EMOTIONS, 0.5),
    "sentiment": {"mae": 0.4, "pearson": 0.6, "ccc": 0.6},
    "shift": {"f1": 0.6, "average_precision": 0.6},
}
ABLATION = {
    "seeds": [0, 1, 2],
    "weighted_f1": [0.62, 0.61, 0.63],
    "weighted_f1_reset": [0.60, 0.61, 0.60],
}


def test_nothing_known_nothing_shown() -> None:
    assert accuracy_section({}) == ""


def test_ablation_states_mean_and_sample_standard_deviation() -> None:
    assert "0.0167 ± 0.0153 (mean ± sd, 3 seeds)" in accuracy_section({"ablation": ABLATION})


def test_dev_figures_stand_alone_or_next_to_the_reset_memory() -> None:
    alone = accuracy_section({"dev": DEV})
    both = accuracy_section({"dev": DEV, "dev_memory_reset": {**DEV, "weighted_f1": 0.6}})
    assert "0.620" in alone
    assert "memory reset" not in alone.partition("</p>")[2]
    assert "0.600" in both


def test_a_memory_that_does_harm_is_shown_as_it_is() -> None:
    harmful = {**ABLATION, "seeds": [0], "weighted_f1": [0.6], "weighted_f1_reset": [0.62]}
    assert "-0.0200 (one seed)" in accuracy_section({"ablation": harmful})
