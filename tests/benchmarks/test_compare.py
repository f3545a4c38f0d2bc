"""`dcet-bench compare` finds a regression, and only a regression."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dcet.benchmarks.accuracy.measure import ACCURACY_SCHEMA
from dcet.benchmarks.cli import main
from dcet.benchmarks.latency.measure import LATENCY_SCHEMA
from dcet.benchmarks.live.measure import LIVE_SCHEMA
from dcet.benchmarks.memory.measure import MEMORY_SCHEMA
from dcet.benchmarks.peers.measure import PEERS_SCHEMA
from dcet.benchmarks.prediction.measure import PREDICT_SCHEMA
from dcet.benchmarks.reports import KINDS
from dcet.benchmarks.robustness.measure import ROBUSTNESS_SCHEMA
from dcet.benchmarks.room.measure import ROOM_SCHEMA

PERCENTILES_MS = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
LATENCY: dict[str, Any] = {
    "schema": LATENCY_SCHEMA,
    "bundle": {"sha256": "aa"},
    "engine": {"name": "onnxruntime-cpu"},
    "machine": {"cpu": "a", "cores": 2},
    "settings": {"turns": 100, "growth_turns": 1000},
    "mixed": {"name": "mixed", "latency_ms": {"turn": PERCENTILES_MS, "step": PERCENTILES_MS}},
    "fixed": {"name": "fixed", "latency_ms": {"turn": PERCENTILES_MS, "step": PERCENTILES_MS}},
    "growth_over_turns": [{"rss_bytes": 1 << 28}, {"rss_bytes": (1 << 28) + 4096}],
    "memory_over_sizes": [{"rss_bytes": 1 << 28}, {"rss_bytes": 1 << 28}],
    "cold_start": {"import_s": 0.1, "open_and_first_estimate_s": 0.5},
    "promises": [{"name": "step p50", "unit": "ms", "value": 1.0, "limit": 2.0, "kept": True}],
}
ACCURACY: dict[str, Any] = {
    "schema": ACCURACY_SCHEMA,
    "bundle": {"sha256": "aa"},
    "engine": {"name": "onnxruntime-cpu"},
    "corpus": "meld",
    "data": "dev.csv",
    "reset_memory": False,
    "n": 100,
    "weighted_f1": 0.62,
    "macro_f1": 0.45,
    "accuracy": 0.63,
    "ece": 0.03,
    "nll": 1.1,
    "sentiment": {"mae": 0.4, "pearson": 0.6, "ccc": 0.6},
    "shift": {"f1": 0.6, "average_precision": 0.6},
    "trust": {"aurc": 0.2, "ece": 0.03},
}

OUTCOME = {"figures": {"weighted_f1": 0.6}}
ROBUSTNESS: dict[str, Any] = {
    "schema": ROBUSTNESS_SCHEMA,
    "bundle": {"sha256": "aa"},
    "engine": {"name": "onnxruntime-cpu"},
    "settings": {"seed": 0},
    "constructed": {"what": "constructed", "split": "dev", "dialogues": 40, "turns": 400},
    "masks": [{"modalities": ["text", "face"], "outcome": OUTCOME}],
    "missing": [{"modalities": ["text"], "pattern": "bursts", "rate": 0.3, "outcome": OUTCOME}],
    "corruptions": [{"corruption": "blur", "points": [{"strength": 2, "outcome": OUTCOME}]}],
}
ROOM: dict[str, Any] = {
    "schema": ROOM_SCHEMA,
    "bundle": {"sha256": "aa"},
    "engine": {"name": "onnxruntime-cpu"},
    "settings": {"spots": 100, "seed": 0},
    "material": {"talk": ["a.wav"], "videos": [], "no_speech": 0},
    "headlines": [
        {"key": "moved_tv", "name": "moved: TV", "value": 0.02, "bar": 0.02},
        {"key": "moved_silent", "name": "moved: silent", "value": 0.1, "bar": None},
    ],
}
LIVE: dict[str, Any] = {
    "schema": LIVE_SCHEMA,
    "bundle": {"sha256": "aa"},
    "engine": {"name": "onnxruntime-cpu"},
    "headlines": [
        {"key": "final_p50", "value": 9.0},
        {"key": "busy_on_time", "value": 1.0},
        {"key": "cut_error", "value": 0.11},
        {"key": "long_growth", "value": 0.1},
    ],
    "deadlines": [{"deadline_ms": 50.0, "busy": 2, "weighted_f1": 0.6}],
}
MEMORY: dict[str, Any] = {
    "schema": MEMORY_SCHEMA,
    "bundle": {"sha256": "aa"},
    "engine": {"name": "onnxruntime-cpu"},
    "streams": [{"name": "meld", "sha256": "bb", "weighted_f1": 0.59, "uar": 0.43}],
}
PEERS: dict[str, Any] = {
    "schema": PEERS_SCHEMA,
    "bundle": {"sha256": "aa"},
    "engine": {"name": "onnxruntime-cpu"},
    "stages": [
        {"name": "text", "dcet_ms": {"p50": 2.0}, "ratio": {"torch": 40.0, "openvino": 8.0}},
        {"name": "step", "dcet_ms": {"p50": 1.0}, "ratio": {}},
    ],
}
PREDICTION: dict[str, Any] = {
    "schema": PREDICT_SCHEMA,
    "bundle": {"sha256": "aa"},
    "engine": {"name": "onnxruntime-cpu"},
    "target": "jetson-orin-nano",
    "graphs": [
        {
            "name": "step",
            "there": {"latency_ms": 0.5},
            "here": {"measured_ms": {"p50": 1.0}, "ratio": 1.5},
        }
    ],
}
# As measured, both turns of one text have names that begin alike.
THREE_SENSES = {"name": "fixed, 3 s of sound", "latency_ms": LATENCY["fixed"]["latency_ms"]}
WITH_THREE_SENSES = {**LATENCY, "three_senses": THREE_SENSES}
REPORTS = (WITH_THREE_SENSES, ACCURACY, ROBUSTNESS, ROOM, LIVE, MEMORY, PEERS, PREDICTION)


def changed(report: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the value at a dotted path replaced."""
    copy = deepcopy(report)
    *parents, last = path.split(".")
    place: Any = copy
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    return copy


def compare(folder: Path, before: object, after: object, *options: str) -> Result:
    paths = [folder / "before.json", folder / "after.json"]
    for path, report in zip(paths, (before, after), strict=True):
        path.write_text(report if isinstance(report, str) else json.dumps(report), encoding="utf-8")
    return CliRunner().invoke(main, ["compare", *map(str, paths), *options])


def test_every_kind_of_report_is_tested_here() -> None:
    assert [report["schema"] for report in REPORTS] == list(KINDS)


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_does_not_regress_from_itself(tmp_path: Path, report: dict[str, Any]) -> None:
    assert compare(tmp_path, report, report).exit_code == 0


@pytest.mark.parametrize("report", REPORTS)
def test_every_row_has_a_name_of_its_own(tmp_path: Path, report: dict[str, Any]) -> None:
    written = tmp_path / "comparison.json"
    compare(tmp_path, report, report, "--json", str(written))
    names = [row["name"] for row in json.loads(written.read_text(encoding="utf-8"))["rows"]]
    assert names
    assert len(set(names)) == len(names)


def test_two_figures_of_one_name_are_bad_input(tmp_path: Path) -> None:
    twice = {**LATENCY, "promises": [*LATENCY["promises"], *LATENCY["promises"]]}
    result = compare(tmp_path, LATENCY, twice)
    assert result.exit_code == 2
    assert "got 'promise: step p50' twice" in result.stderr


@pytest.mark.parametrize(
    ("report", "path", "value"),
    [
        (ROOM, "headlines.0.value", 0.03),
        (ROOM, "headlines.0.value", None),
        (ROOM, "headlines.1.value", 0.2),
        (LIVE, "headlines.0.value", 10.0),
        (LIVE, "headlines.1.value", 0.9),
        (LIVE, "headlines.2.value", 0.12),
        (LIVE, "headlines.3.value", 2.1),
        (LIVE, "deadlines.0.weighted_f1", 0.5),
        (LATENCY, "fixed.latency_ms.step.p50", 1.11),
        (LATENCY, "mixed.latency_ms.turn.p99", 3.4),
        (LATENCY, "cold_start.import_s", 0.12),
        (LATENCY, "growth_over_turns.1.rss_bytes", (1 << 28) + (2 << 20)),
        (LATENCY, "memory_over_sizes.1.rss_bytes", (1 << 28) + (17 << 20)),
        (LATENCY, "promises.0.kept", False),
        (ACCURACY, "weighted_f1", 0.6189),
        (ACCURACY, "sentiment.ccc", 0.59),
        (ACCURACY, "shift.average_precision", 0.59),
        (ACCURACY, "ece", 0.04),
        (ACCURACY, "trust.aurc", 0.21),
        (ROBUSTNESS, "masks.0.outcome.figures.weighted_f1", 0.59),
        (ROBUSTNESS, "missing.0.outcome.figures.weighted_f1", 0.59),
        (ROBUSTNESS, "corruptions.0.points.0.outcome.figures.weighted_f1", 0.59),
        (PEERS, "stages.1.dcet_ms.p50", 1.11),
        (PEERS, "stages.0.ratio.torch", 36.0),
        (PEERS, "stages.0.ratio.openvino", 7.0),
        (PREDICTION, "graphs.0.there.latency_ms", 0.6),
        (PREDICTION, "graphs.0.here.measured_ms.p50", 1.2),
        (PREDICTION, "graphs.0.here.ratio", 1.7),
        (WITH_THREE_SENSES, "three_senses.latency_ms.turn.p50", 1.2),
    ],
)
def test_worse_is_a_regression_and_better_is_not(
    tmp_path: Path, report: dict[str, Any], path: str, value: Any
) -> None:
    worse = changed(report, path, value)
    assert compare(tmp_path, report, worse).exit_code == 1
    assert compare(tmp_path, worse, report).exit_code == 0


@pytest.mark.parametrize(
    ("report", "path", "value"),
    [
        (LATENCY, "fixed.latency_ms.step.p50", 1.09),
        (ACCURACY, "weighted_f1", 0.6192),
        (LIVE, "headlines.0.value", 9.8),
        (LIVE, "headlines.3.value", 1.9),  # what a process grows by chance is within its bar
    ],
)
def test_within_the_tolerance_is_no_regression(
    tmp_path: Path, report: dict[str, Any], path: str, value: Any
) -> None:
    assert compare(tmp_path, report, changed(report, path, value)).exit_code == 0


def test_an_accuracy_report_from_before_trust_can_still_be_compared(tmp_path: Path) -> None:
    older = {key: value for key, value in ACCURACY.items() if key != "trust"}
    assert compare(tmp_path, older, ACCURACY).exit_code == 0
    assert compare(tmp_path, older, changed(ACCURACY, "ece", 0.04)).exit_code == 1


def test_the_tolerance_can_be_set(tmp_path: Path) -> None:
    slower = changed(LATENCY, "fixed.latency_ms.step.p50", 1.09)
    assert compare(tmp_path, LATENCY, slower, "--tolerance", "0.05").exit_code == 1


def test_json_names_what_regressed_and_what_else_differs(tmp_path: Path) -> None:
    after = changed(changed(ACCURACY, "weighted_f1", 0.5), "bundle.sha256", "bb")
    written = tmp_path / "comparison.json"
    compare(tmp_path, ACCURACY, after, "--json", str(written))
    comparison = json.loads(written.read_text(encoding="utf-8"))
    assert comparison["regressed"] is True
    assert [row["name"] for row in comparison["rows"] if row["regressed"]] == ["weighted_f1"]
    assert comparison["notes"] == ["bundle: aa / bb"]


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("{", "expected a report"),
        ("[]", "got None"),
        ({"schema": "dcet-bench/latency/99"}, "latency/99"),
        (ACCURACY, "same kind"),
        ({"schema": LATENCY_SCHEMA}, "missing"),
        ({**LATENCY, "engine": "onnxruntime"}, "of the wrong type"),
        ({**LATENCY, "promises": ["fast"]}, "of the wrong type"),
    ],
)
def test_what_cannot_be_compared_is_bad_input(tmp_path: Path, after: Any, message: str) -> None:
    result = compare(tmp_path, LATENCY, after)
    assert result.exit_code == 2
    assert message in result.stderr


def test_other_data_is_bad_input(tmp_path: Path) -> None:
    result = compare(tmp_path, ACCURACY, changed(ACCURACY, "n", 99))
    assert result.exit_code == 2
    assert "100 utterances" in result.stderr


def test_other_conversations_are_bad_input(tmp_path: Path) -> None:
    result = compare(tmp_path, ROBUSTNESS, changed(ROBUSTNESS, "constructed.split", "train"))
    assert result.exit_code == 2
    assert "--split" in result.stderr


def test_senses_that_only_one_bundle_has_are_named_and_not_compared(tmp_path: Path) -> None:
    promise = {"name": "three p50", "unit": "ms", "value": 9.0, "limit": 1.0, "kept": False}
    after = {**WITH_THREE_SENSES, "promises": [*LATENCY["promises"], promise]}
    result = compare(tmp_path, LATENCY, after)
    assert result.exit_code == 0
    assert "promise only in the second: three p50" in result.stdout


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert result.exit_code == 2
    assert str(tmp_path / "a") in result.stderr
