"""`make gpu-check` on a CPU: what can run runs, and what fails loses nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu_check.__main__ import run
from gpu_check.parts import Part, parts_for

REPO = Path(__file__).parents[2]


def check(output: Path, *only: str) -> dict[str, Any]:
    command = [sys.executable, str(REPO / "benchmarks" / "gpu_check"), "--device", "cpu"]
    # Ten times the time that the parts have on a GPU.
    command += ["--minutes", "80", "--output", str(output), "--only", *only]
    bare = {name: value for name, value in os.environ.items() if name != "DCET_DATA"}
    subprocess.run(command, check=True, capture_output=True, env=bare)
    report: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return report


def test_golden_sequences_and_a_training_go_into_one_report(tmp_path: Path) -> None:
    only = ("environment", "corpora", "train face", "train speech", "golden onnxruntime")
    report = check(tmp_path / "report.json", *only)
    assert report["schema"] == "dcet-gpu-check/1"
    assert report["packages"]["torch"]
    parts = report["parts"]
    assert list(parts) == list(only)
    assert {parts[name]["outcome"] for name in only if name != "train speech"} == {"done"}
    assert parts["train speech"]["outcome"] == "not possible"
    assert "set DCET_DATA" in parts["train speech"]["reason"]
    assert 0 < parts["train face"]["figures"]["ferplus"]["accuracy"] <= 1
    assert parts["golden onnxruntime"]["figures"]["outcome"] == "checked"


def part(folder: Path, program: str, **settings: Any) -> Part:
    return Part(
        name="part",
        command=[sys.executable, "-c", program],
        figures=folder / "part" / "figures.json",
        log=folder / "part" / "log.txt",
        **{"limit_s": 60.0, **settings},
    )


@pytest.mark.parametrize(
    ("program", "settings", "outcome", "reason"),
    [
        ("raise ValueError('broken')", {}, "failed", "ValueError: broken"),
        ("print('Error: no device'); exit(2)", {}, "failed", "Error: no device"),
        ("import os; os.abort()", {}, "failed", "exit code -6"),
        ("import time; time.sleep(600)", {}, "stopped", "not done within 1 s"),
        ("", {"needs": ("json", "no_such_package")}, "not possible", "no_such_package"),
        ("", {"cannot": "no data"}, "not possible", "no data"),
    ],
)
def test_a_part_that_does_not_work_is_named(
    tmp_path: Path, program: str, settings: dict[str, Any], outcome: str, reason: str
) -> None:
    found = run(part(tmp_path, program, **settings), 1.0 if "sleep" in program else 300.0)
    assert found["outcome"] == outcome
    assert reason in found["reason"]


def test_nothing_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    assert run(part(tmp_path, ""), 0.0) == {"outcome": "not begun", "reason": "the time was up"}


def test_a_gpu_runs_every_engine_of_nvidia_and_every_training(tmp_path: Path) -> None:
    parts = {part.name: part for part in parts_for("cuda", tmp_path, None)}
    engines = ("onnxruntime-cuda", "torch-cuda", "tensorrt", "torch-tensorrt")
    assert {f"golden {engine}" for engine in engines} < set(parts)
    assert {f"latency {engine}" for engine in engines} < set(parts)
    trainings = [part for name, part in parts.items() if name.startswith("train ")]
    assert len(trainings) == 7
    for training in trainings:
        assert training.command[training.command.index("--device") + 1] == "cuda"
    assert "onnx" in parts["golden torch-cuda"].needs
