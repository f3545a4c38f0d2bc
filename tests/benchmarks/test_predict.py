"""A roofline by hand, and a prediction of the tiny bundle that never passes for a measurement."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from dcet.benchmarks.cli import main
from dcet.benchmarks.figures import render_figures
from dcet.benchmarks.prediction import peaks
from dcet.benchmarks.prediction.measure import (
    ASSUMPTIONS,
    KIND,
    LAUNCH_US,
    PREDICT_SCHEMA,
    some_inputs,
)
from dcet.benchmarks.prediction.peaks import better, measure_roof
from dcet.benchmarks.prediction.roofline import Roof, predict
from dcet.runtime import Bundle
from dcet.targets import load_target
from tests.benchmarks.test_latency_report import Page
from tests.tiny_bundle import write_tiny_bundle

TARGET = "jetson-orin-nano"


@dataclass(frozen=True)
class Cost:
    flops: dict[str, int]
    weight_bytes: int
    activation_bytes: int


def roof(**changes: Any) -> Roof:
    figures: dict[str, Any] = {"flops_per_s": {"fp32": 1e9, "int8": 4e9}, "launch_us": 10.0}
    figures |= {"weight_bytes_per_s": 1e8, "activation_bytes_per_s": 1e9}
    return Roof(**(figures | changes))


def test_each_kernel_takes_as_long_as_what_limits_it() -> None:
    computes = Cost({"fp32": 2_000_000, "int8": 4_000_000}, 100_000, 1_000_000)  # 3 ms and 2 ms
    moves = Cost({"fp32": 1_000_000}, 400_000, 500_000)  # 1 ms and 4.5 ms
    found = predict([computes, moves], roof())
    assert found.arithmetic_ms == pytest.approx(3)
    assert found.memory_ms == pytest.approx(4.5)
    assert found.launch_ms == pytest.approx(0.02)
    assert found.limit_ms == pytest.approx(7.5)
    assert found.latency_ms == pytest.approx(7.52)


def test_floats_count_in_the_type_that_the_engine_chose() -> None:
    cost = Cost({"fp32": 1_000_000, "fp16": 1_000_000, "int8": 4_000_000}, 0, 0)
    fast = roof(flops_per_s={"bf16": 4e9, "int8": 2e9})
    assert predict([cost], fast, float_type="bf16").limit_ms == pytest.approx(2 * 0.25 + 2)


@given(st.lists(st.tuples(*[st.integers(0, 10**9)] * 3), max_size=5), st.floats(1, 100))
def test_a_better_machine_is_never_slower(kernels: list[tuple[int, ...]], times: float) -> None:
    costs = [Cost({"fp32": flops}, weights, moved) for flops, weights, moved in kernels]
    slow = predict(costs, roof())
    for better_roof in (
        roof(flops_per_s={"fp32": 1e9 * times}),
        roof(weight_bytes_per_s=1e8 * times),
        roof(activation_bytes_per_s=1e9 * times),
    ):
        assert predict(costs, better_roof).limit_ms <= slow.limit_ms * (1 + 1e-9)


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "TRY_FOR_S", 0.005)


@pytest.mark.parametrize("arithmetic", ["fp32", "bf16", "int8"])
def test_peaks_of_this_machine_are_measured(arithmetic: str) -> None:
    found = measure_roof(threads=1, arithmetic=[arithmetic], weight_bytes=1, activation_bytes=1)
    assert found.flops_per_s[arithmetic] > 1e8
    assert found.weight_bytes_per_s > 1e7
    assert found.activation_bytes_per_s > 1e7


def test_of_two_measurements_the_higher_counts() -> None:
    one = roof(flops_per_s={"fp32": 2.0}, weight_bytes_per_s=1.0)
    two = roof(flops_per_s={"fp32": 1.0}, weight_bytes_per_s=3.0, activation_bytes_per_s=1.0)
    assert better(one, two) == roof(flops_per_s={"fp32": 2.0}, weight_bytes_per_s=3.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Holds tiny.dcet with report.json and report.html for the peak mode, 15W.json for another."""
    folder = tmp_path_factory.mktemp("predict")
    bundle = str(write_tiny_bundle(folder / "tiny.dcet"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(peaks, "TRY_FOR_S", 0.005)
        common = ["predict", bundle, "--target", TARGET, "--repeats", "5"]
        for options in (
            "--json report.json --html report.html",
            "--power-mode 15W --json 15W.json",
        ):
            result = CliRunner().invoke(main, [*common, *options.split()])
            assert result.exit_code == 0, result.output
            assert result.stdout.count(KIND) == 2
        yield folder


@pytest.fixture
def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def test_report_names_the_device_and_what_is_assumed(report: dict[str, Any]) -> None:
    device = load_target(TARGET).device
    assert device is not None
    assert report["schema"] == PREDICT_SCHEMA
    assert report["device"]["peak_int8_tops"] == device.peak_int8_tops
    assert report["power_mode"]["name"] == device.power_modes[0].name
    assert report["assumptions"] == list(ASSUMPTIONS)
    assert report["notes"][0].startswith(f"This is not what {TARGET} asks for: text (fp32")
    assert report["engine"]["reason"]
    sizes = {"tokens": 16, "windows": 1, "faces": 8, "height": 96, "width": 96}
    assert report["sizes"] == {**sizes, "samples": 48_128}  # 94 hops


def test_every_prediction_says_that_it_is_one(report: dict[str, Any]) -> None:
    assert [graph["name"] for graph in report["graphs"]] == ["text", "step", "audio", "face"]
    for row in (report["turn"], *(graph["there"] for graph in report["graphs"])):
        assert row["kind"] == "predicted, not measured"


def test_the_turn_is_the_sum_of_its_graphs(report: dict[str, Any]) -> None:
    for key in ("latency_ms", "as_far_as_here_ms", "energy_mj"):
        parts = sum(graph["there"][key] for graph in report["graphs"])
        assert report["turn"][key] == pytest.approx(parts)


def test_figures_of_a_graph_agree_with_each_other(report: dict[str, Any]) -> None:
    watts = report["power_mode"]["watts"]
    for graph in report["graphs"]:
        work, there, here = graph["work"], graph["there"], graph["here"]
        assert there["launch_ms"] == pytest.approx(work["kernels"] * LAUNCH_US / 1000)
        assert there["energy_mj"] == pytest.approx(watts * there["latency_ms"])
        predicted, measured = here["prediction"], here["measured_ms"]["p50"]
        assert here["ratio"] == pytest.approx(measured / predicted["limit_ms"])
        assert here["error"] == pytest.approx(predicted["latency_ms"] / measured - 1)
        assert there["as_far_as_here_ms"] == pytest.approx(
            there["latency_ms"] * measured / predicted["latency_ms"]
        )
        assert here["measured_ms"]["n"] == 5
        assert here["roof"]["flops_per_s"].keys() == work["flops"].keys() == {"fp32"}


def test_a_step_runs_on_one_thread_and_so_does_its_roof(report: dict[str, Any]) -> None:
    threads = {graph["name"]: graph["here"]["threads"] for graph in report["graphs"]}
    assert threads.pop("step") == 1
    assert set(threads.values()) == {report["machine"]["cores"]}


def test_a_slower_power_mode_only_slows_arithmetic(folder: Path, report: dict[str, Any]) -> None:
    slow = json.loads((folder / "15W.json").read_text(encoding="utf-8"))
    assert slow["power_mode"]["watts"] == 15
    for before, after in zip(report["graphs"], slow["graphs"], strict=True):
        assert after["there"]["limit_ms"] >= before["there"]["limit_ms"]
        assert after["there"]["launch_ms"] == before["there"]["launch_ms"]


def test_page_is_whole_and_says_that_it_predicts(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.references == []
    assert page.seen.count("svg") == 2
    assert "http" not in text
    title, *_ = text.partition("</title>")
    assert title.endswith(KIND)
    assert text.count("PREDICTED") == 3
    assert "Predicted, not measured." in text
    assert all(line.replace("'", "&#x27;") in text for line in ASSUMPTIONS)


def test_inputs_are_what_the_graph_takes(folder: Path) -> None:
    bundle = Bundle.open(folder / "tiny.dcet")
    inputs = some_inputs(bundle.manifest.graphs["face"], {"faces": 2, "height": 3, "width": 4})
    np.testing.assert_array_equal(inputs["pixels"], np.ones((2, 3, 4, 3), np.uint8), strict=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--target"),
        (["--target", "jetson-orin-nana"], "did you mean jetson-orin-nano"),
        (["--target", "cpu"], "got one that stands for any machine"),
        (["--target", TARGET, "--power-mode", "15"], "did you mean 15W?"),
        (["--target", TARGET, "--engine", "steam"], "steam"),
        (["--target", TARGET, "--repeats", "0"], "--repeats"),
    ],
)
def test_bad_input_exits_with_2(folder: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["predict", str(folder / "tiny.dcet"), *options])
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_page_of_figures_has_a_row_of_it(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "report.json", tmp_path / "it.json")
    page = render_figures(tmp_path)
    assert "predicted, not measured" in page
    assert page.count("`it.json`") == 1
