"""Constructed conversations through the runtime, under every condition."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dcet.benchmarks.cli import main
from dcet.benchmarks.figures import render_figures
from dcet.benchmarks.robustness import measure as robustness
from dcet.benchmarks.robustness.measure import (
    MASKS,
    ROBUSTNESS_SCHEMA,
    RobustnessSettings,
    Stage,
    missing_by_turn,
    missing_in_bursts,
    only,
)
from dcet.data.constructed import ConstructedTurn, construct, read_material
from dcet.data.metrics import emotion_metrics
from dcet.runtime import Bundle, Conversation
from dcet.runtime.labels import EMOTIONS, MODALITIES
from tests.tiny_bundle import write_tiny_bundle
from tests.tiny_recordings import SPLIT, TURNS, write_recordings

DIALOGUES = 3
SETTINGS = RobustnessSettings(dialogues=DIALOGUES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds tiny.dcet and data, and the report.json and report.html that were measured on them."""
    folder = tmp_path_factory.mktemp("robustness")
    write_tiny_bundle(folder / "tiny.dcet")
    write_recordings(folder / "data", DIALOGUES)
    assert "constructed" in measure(folder, "report")
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def stage(folder: Path) -> Stage:
    material = read_material(folder / "data", SPLIT)
    return Stage(Bundle.open(folder / "tiny.dcet"), material, SETTINGS)


def measure(folder: Path, name: str, *options: str) -> str:
    """Returns what is shown."""
    files = [f"--{kind}={folder / name}.{kind}" for kind in ("json", "html")]
    command = ["robustness", str(folder / "tiny.dcet"), "--data", str(folder / "data")]
    result = CliRunner().invoke(main, [*command, *files, *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def outcomes(report: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [*report["masks"], *report["missing"]]
    rows += [point for curve in report["corruptions"] for point in curve["points"]]
    return [row["outcome"] for row in rows]


def test_report_says_that_it_is_constructed_and_of_what(report: dict[str, Any]) -> None:
    assert report["schema"] == ROBUSTNESS_SCHEMA
    played = report["constructed"]
    assert played["what"].startswith("constructed")
    assert (played["split"], played["actors"]) == (SPLIT, 2)
    assert (played["dialogues"], played["turns"]) == (DIALOGUES, DIALOGUES * len(TURNS))


def test_every_condition_is_there(report: dict[str, Any]) -> None:
    assert [tuple(mask["modalities"]) for mask in report["masks"]] == list(MASKS)
    assert len(MASKS) == 7
    rates = [(row["pattern"], tuple(row["modalities"]), row["rate"]) for row in report["missing"]]
    assert rates == [
        (pattern, mask, rate)
        for pattern in ("turns", "bursts")
        for mask in MASKS
        for rate in (0, 0.3, 0.5, 0.7)
    ]
    kinds = {curve["corruption"]: len(curve["points"]) for curve in report["corruptions"]}
    assert kinds == {
        "white noise": 5,
        "pink noise": 5,
        "blur": 4,
        "occlusion": 4,
        "darkness": 4,
        "wrong person": 4,
        "recognition errors": 4,
    }


def test_whole_figures_are_those_of_the_turns(folder: Path, report: dict[str, Any]) -> None:
    """The report equals a conversation played here, with all modalities as they are."""
    material = read_material(folder / "data", SPLIT)
    bundle = Bundle.open(folder / "tiny.dcet")
    labels, probabilities, weights = [], [], []
    for scenes in construct(material, DIALOGUES, seed=0):
        conversation = Conversation(bundle)
        for scene in scenes:
            assert scene.faces is not None
            estimate = conversation.turn(
                scene.speaker, scene.text, scene.audio, [*np.repeat(scene.faces[..., None], 3, -1)]
            )
            labels.append(scene.emotion)
            probabilities.append([estimate.probabilities[label] for label in EMOTIONS])
            weights.append([estimate.modality_weights[name] for name in MODALITIES])
    expected, whole = emotion_metrics(labels, probabilities), report["masks"][-1]["outcome"]
    for name in ("weighted_f1", "macro_f1", "accuracy"):
        assert whole["figures"][name] == pytest.approx(expected[name])
    assert list(whole["modality_weights"].values()) == pytest.approx(np.mean(weights, axis=0))
    assert whole["empty"] == 0


def test_a_modality_that_does_not_exist_has_no_weight(report: dict[str, Any]) -> None:
    for mask in report["masks"]:
        weights = mask["outcome"]["modality_weights"]
        assert {name for name, weight in weights.items() if weight > 0} <= set(mask["modalities"])
        assert sum(weights.values()) == pytest.approx(1, abs=1e-4)


def test_nothing_missing_is_the_whole_and_more_missing_leaves_more_empty_turns(
    report: dict[str, Any],
) -> None:
    for mask in report["masks"]:
        for pattern in ("turns", "bursts"):
            rows = [
                row
                for row in report["missing"]
                if row["pattern"] == pattern and row["modalities"] == mask["modalities"]
            ]
            assert rows[0]["outcome"] == mask["outcome"]
            if pattern == "turns":  # the same draws, so that what was missing stays missing
                empty = [row["outcome"]["empty"] for row in rows]
                assert empty == sorted(empty)
                assert empty[-1] > 0


def test_what_is_lost_is_lost_against_the_same_turns_without_the_modality(
    report: dict[str, Any],
) -> None:
    masks = {tuple(mask["modalities"]): mask["outcome"] for mask in report["masks"]}
    for curve in report["corruptions"]:
        others = tuple(name for name in MODALITIES if name != curve["modality"])
        assert curve["absent"] == masks[others]
        for point in curve["points"]:
            for name, lost in point["lost_against_absent"].items():
                expected = masks[others]["figures"][name] - point["outcome"]["figures"][name]
                assert lost == pytest.approx(expected)


def test_the_weight_falls_with_the_quality_that_the_runtime_measures(
    report: dict[str, Any],
) -> None:
    """The tiny bundle's step weighs by quality, and noise and darkness lower it."""
    for name in ("white noise", "darkness"):
        curve = next(curve for curve in report["corruptions"] if curve["corruption"] == name)
        weights = [
            point["outcome"]["modality_weights"][curve["modality"]] for point in curve["points"]
        ]
        assert weights[-1] < weights[0]


def test_the_same_seed_gives_the_same_report_and_another_one_another(
    folder: Path, report: dict[str, Any]
) -> None:
    measure(folder, "again")
    again = json.loads((folder / "again.json").read_text(encoding="utf-8"))
    when = {"created": "", "machine": {}}
    assert {**again, **when} == {**report, **when}
    measure(folder, "other", "--seed", "1")
    assert outcomes(json.loads((folder / "other.json").read_text(encoding="utf-8"))) != outcomes(
        report
    )


def test_an_empty_turn_counts_with_the_last_estimate_or_as_neutral(stage: Stage) -> None:
    def first_turn_only(
        scenes: Sequence[ConstructedTurn], rng: np.random.Generator
    ) -> list[ConstructedTurn]:
        return [*scenes[:1], *only(())(scenes[1:], rng)]

    outcome = stage.play(first_turn_only, "test")
    assert outcome.empty == DIALOGUES * (len(TURNS) - 1)
    nothing = stage.play(only(()), "test")
    neutral = sum(emotion == "neutral" for _, _, emotion in TURNS) / len(TURNS)
    assert nothing.figures["accuracy"] == pytest.approx(neutral)
    assert set(nothing.modality_weights.values()) == {0.0}


@pytest.mark.parametrize("losing", [missing_by_turn, missing_in_bursts])
def test_senses_go_missing_at_their_rate_each_by_itself(
    stage: Stage, losing: Callable[[float], robustness.Arrival]
) -> None:
    lost = gone(stage, losing(0.5), turns=20_000)
    np.testing.assert_allclose(lost.mean(axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(lost.T), np.eye(3), atol=0.06)


def test_bursts_last_about_four_turns(stage: Stage) -> None:
    def mean_length(losing: Callable[[float], robustness.Arrival]) -> float:
        lost = gone(stage, losing(0.5), turns=20_000)
        return float(lost.sum() / (np.diff(lost.astype(int), axis=0) == 1).sum())

    assert mean_length(missing_in_bursts) == pytest.approx(4, abs=0.2)
    assert mean_length(missing_by_turn) == pytest.approx(2, abs=0.1)


def gone(stage: Stage, arrival: robustness.Arrival, turns: int) -> np.ndarray:
    """(turns, 3): which senses of one long conversation are missing."""
    scenes = [stage.dialogues[0][0]] * turns
    arrived = arrival(scenes, np.random.default_rng(0))
    return np.array([[x is None for x in (s.text, s.audio, s.faces)] for s in arrived])


def test_page_shows_every_condition_and_says_constructed(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 2 + 2 * 7
    assert text.count("(constructed)") >= 5
    assert "never recorded together" in text
    assert "nan" not in text


def test_a_report_can_be_compared_with_itself(folder: Path) -> None:
    path = str(folder / "report.json")
    written = folder / "comparison.json"
    command = ["compare", path, path, "--json", str(written)]
    assert CliRunner().invoke(main, command).exit_code == 0
    names = [row["name"] for row in json.loads(written.read_text(encoding="utf-8"))["rows"]]
    assert len(set(names)) == len(names)


def test_a_bundle_of_text_alone_is_an_error(folder: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "text.dcet", senses=())
    result = CliRunner().invoke(main, ["robustness", str(bundle), "--data", str(folder / "data")])
    assert result.exit_code == 2
    assert "no audio and no face encoder" in result.stderr


def test_a_split_that_is_not_there_is_an_error(folder: Path) -> None:
    command = ["robustness", str(folder / "tiny.dcet"), "--data", str(folder / "data")]
    result = CliRunner().invoke(main, [*command, "--split", "test"])
    assert result.exit_code == 2
    assert "test_sent_emo.csv" in result.stderr


def test_the_page_of_figures_has_a_row_of_it(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "report.json", tmp_path / "it.json")
    page = render_figures(tmp_path)
    assert "## Modalities that fail" in page
    assert page.count("`it.json`") == 1
