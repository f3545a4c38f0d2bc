"""A real measurement of a tiny bundle: its JSON, its page, and what the figures must satisfy."""

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dcet.benchmarks import cli
from dcet.benchmarks.cli import main
from dcet.benchmarks.figures import render_figures
from dcet.benchmarks.latency import growth, loops
from dcet.benchmarks.latency import measure as latency
from dcet.benchmarks.latency.growth import TurnSizes, powers_of_ten
from dcet.benchmarks.latency.loops import STAGES, THREE_SENSE_STAGES
from dcet.benchmarks.latency.measure import LatencySettings
from dcet.benchmarks.latency.page import render_page
from dcet.runtime import Bundle
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from tests.tiny_bundle import write_tiny_bundle

KNOWN_TEXTS = ("I am so happy!", "You are sad.", "They are afraid.")  # to the tiny bundle
VOID = {"meta", "line", "br", "hr", "img", "input", "link"}


@pytest.fixture(scope="module", autouse=True)
def short_and_understood() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "IDLE_INTERVAL_MS", 50.0)
        patch.setattr(latency, "TEXTS", KNOWN_TEXTS)
        patch.setattr(growth, "TEXTS", KNOWN_TEXTS)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds tiny.dcet and the report.json and report.html that were measured on it."""
    folder = tmp_path_factory.mktemp("report")
    bundle = write_tiny_bundle(folder / "tiny.dcet")
    options = "--turns 40 --growth-turns 1000 --speakers 20 --size-turns 60"
    outputs = "--json report.json --html report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(main, ["latency", str(bundle), *f"{options} {outputs}".split()])
    assert result.exit_code == 0, result.output
    assert "promises" in result.stdout
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def test_report_says_what_was_measured(report: dict[str, Any]) -> None:
    assert report["schema"] == latency.LATENCY_SCHEMA
    assert report["bundle"]["file"] == "tiny.dcet"
    assert report["engine"]["name"] == "onnxruntime-cpu"
    assert report["engine"]["reason"] == "first choice of target cpu"
    assert report["bundle"]["precision"] == dict.fromkeys(["text", "step", "audio", "face"], "fp32")
    assert report["machine"]["cores"] >= 1
    assert report["settings"]["growth_turns"] == 1000


def test_every_loop_has_every_stage(report: dict[str, Any]) -> None:
    loops = [(loop, STAGES) for loop in (report["mixed"], report["fixed"], *report["paced"])]
    for loop, stages in [*loops, (report["three_senses"], THREE_SENSE_STAGES)]:
        assert tuple(loop["latency_ms"]) == stages
        for stage in stages:
            summary, bins = loop["latency_ms"][stage], loop["histogram_ms"][stage]
            ordered = [summary[k] for k in ("min", "p50", "p90", "p95", "p99", "p99_9", "max")]
            assert ordered == sorted(ordered)
            assert sum(bins["counts"]) == summary["n"]


@pytest.mark.parametrize("loop", ["mixed", "three_senses"])
def test_the_whole_turn_is_no_shorter_than_its_stages(report: dict[str, Any], loop: str) -> None:
    mean = {stage: summary["mean"] for stage, summary in report[loop]["latency_ms"].items()}
    assert min(mean.values()) > 0
    assert mean.pop("turn") >= sum(mean.values())


def test_a_bundle_of_text_alone_is_measured_without_the_other_senses(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "text.dcet", senses=())
    settings = LatencySettings(turns=20, growth_turns=100, speakers=5, size_turns=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "IDLE_INTERVAL_MS", 50.0)
        report = latency.measure_latency(
            Bundle.open(bundle), settings, lambda items, _: iter(items)
        )
    assert report.three_senses is None
    assert len(report.promises) == 7
    assert "sound" not in render_page(report)


def test_the_fixed_text_has_as_many_tokens_as_the_model_takes(report: dict[str, Any]) -> None:
    assert report["fixed"]["tokens"] == [16]  # the tiny bundle takes no 32


def test_growth_is_measured_at_powers_of_ten(report: dict[str, Any]) -> None:
    assert [point["at"] for point in report["growth_over_turns"]] == [10, 100, 1000]
    assert [point["at"] for point in report["growth_over_speakers"]] == [1, 10, 20]
    assert [point["at"] for point in report["memory_over_sizes"]] == [20, 60]
    for key in ("growth_over_turns", "memory_over_sizes"):
        assert all(point["rss_bytes"] > 1 << 20 for point in report[key])
    assert powers_of_ten(10, 100_000) == [10, 100, 1_000, 10_000, 100_000]


def test_memory_over_sizes_is_promised_a_bound(report: dict[str, Any]) -> None:
    first, *_, last = (point["rss_bytes"] for point in report["memory_over_sizes"])
    (promise,) = (row for row in report["promises"] if "another size" in row["name"])
    assert promise["value"] == pytest.approx(max(0, last - first) / 2**20)


def test_turns_of_different_sizes_have_different_shapes(folder: Path) -> None:
    sizes = TurnSizes(Bundle.open(folder / "tiny.dcet"), np.random.default_rng(0))
    texts, sounds, faces = zip(*(sizes.next_turn() for _ in range(200)), strict=True)
    assert len({len(text.split()) for text in texts}) >= 12  # of the 16 that the tiny bundle takes
    assert len({len(sound) for sound in sounds}) > 190
    assert min(map(len, sounds)) < SAMPLE_RATE_HZ < 10 * SAMPLE_RATE_HZ < max(map(len, sounds))
    assert {len(crops) for crops in faces} == set(range(1, 9))
    shapes = np.array([crops[0].shape for crops in faces])
    assert len({tuple(shape) for shape in shapes}) > 190
    assert shapes[:, :2].min() >= 48
    assert shapes[:, :2].max() <= 300


def test_cold_start_is_a_median_of_fresh_processes(report: dict[str, Any]) -> None:
    cold = report["cold_start"]
    imports = sorted(run["import_s"] for run in cold["runs"])
    assert len(imports) == 3
    assert cold["import_s"] == imports[len(imports) // 2]


def test_a_promise_is_kept_when_the_figure_is_within_its_limit(report: dict[str, Any]) -> None:
    assert len(report["promises"]) == 8
    for promise in report["promises"]:
        assert promise["kept"] == (abs(promise["value"]) <= promise["limit"])


def test_paced_turns_keep_their_pace(
    report: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interval runs from start to start, so that the turn itself does not stretch it."""
    assert [loop["interval_ms"] for loop in report["paced"]] == [100.0, 50.0]
    clock = FakeClock()
    monkeypatch.setattr(loops, "time", clock)
    plan = loops.LoopPlan(name="", texts=["a"], tokens=(1,), turns=3, interval_ms=100.0)
    loops.measure_loop(clock, plan, lambda items, _: iter(items))  # type: ignore[arg-type]
    assert clock.starts_s == pytest.approx([0.1, 0.2, 0.3])


class FakeClock:
    """Time that passes only by sleeping, and 30 ms with every turn; also the conversation."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.starts_s: list[float] = []

    def perf_counter(self) -> float:
        return self.now_s

    def perf_counter_ns(self) -> int:
        return int(self.now_s * 1e9)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def turn(self, speaker: str, text: str, audio: None, faces: None) -> "FakeClock":
        self.starts_s.append(self.now_s)
        self.now_s += 0.03
        return self

    @property
    def latency_ms(self) -> dict[str, float]:
        return dict.fromkeys(STAGES, 1.0)


class Page(HTMLParser):
    """Checks that tags nest, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_page_is_whole_and_needs_nothing_else(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.references == []
    assert page.seen.count("svg") >= 8
    assert not {"script", "link", "iframe", "img"} & set(page.seen)
    assert not re.search(r"https?://|url\(|@import|nan\b", text)


def test_page_names_the_engine_and_the_precisions(folder: Path) -> None:
    lead, *_ = (folder / "report.html").read_text(encoding="utf-8").partition("</p>")
    assert "onnxruntime-cpu (first choice of target cpu)" in lead
    assert "text fp32, step fp32, audio fp32, face fp32" in lead


def test_page_shows_each_promise_with_its_verdict(folder: Path, report: dict[str, Any]) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    kept = sum(promise["kept"] for promise in report["promises"])
    assert f"{kept} of 8" in text
    assert text.count(">PASS<") == kept
    assert text.count(">FAIL<") == 8 - kept


def test_a_report_can_be_compared_with_itself(folder: Path) -> None:
    path = str(folder / "report.json")
    written = folder / "comparison.json"
    command = ["compare", path, path, "--json", str(written)]
    assert CliRunner().invoke(main, command).exit_code == 0
    names = [row["name"] for row in json.loads(written.read_text(encoding="utf-8"))["rows"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "options", ["", "latency --turns 20 --growth-turns 100 --size-turns 40 --speakers 5"]
)
def test_where_no_bundle_is_named_the_one_that_ships_is_measured(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    quick = LatencySettings(turns=20, growth_turns=100, speakers=5, size_turns=40)
    monkeypatch.setattr(Bundle, "default", lambda: Bundle.open(tiny))
    monkeypatch.setattr(cli, "QUICK", quick)
    result = CliRunner().invoke(main, options.split())
    assert result.exit_code == 0, result.output
    assert "tiny.dcet" in result.stdout
    assert "promises" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["latency", "{bundle}", "--json", "nowhere/report.json"], "no folder nowhere"),
        (["latency", "nowhere.dcet"], "nowhere.dcet"),
        (["latency", "{bundle}", "--engine", "steam"], "steam"),
        (["latency", "{bundle}", "--turns", "0"], "--turns"),
        (["accuracy", "{bundle}"], "--data"),
    ],
)
def test_bad_input_exits_with_2(folder: Path, arguments: list[str], message: str) -> None:
    filled = [argument.format(bundle=folder / "tiny.dcet") for argument in arguments]
    result = CliRunner().invoke(main, filled)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_page_of_figures_has_a_row_of_it(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "report.json", tmp_path / "it.json")
    page = render_figures(tmp_path)
    assert "## Latency" in page
    assert page.count("`it.json`") == 1
