"""Accuracy through the command equals the metrics of the same turns, computed here."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dcet.benchmarks.accuracy.measure import ACCURACY_SCHEMA
from dcet.benchmarks.accuracy.trust import measure_trust
from dcet.benchmarks.cli import main
from dcet.data.meld import read_meld
from dcet.data.metrics import conversation_metrics
from dcet.runtime import Bundle, Conversation
from dcet.runtime.labels import EMOTIONS
from tests.tiny_bundle import write_tiny_bundle

COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
ROWS = (
    ("I am so happy!", "Ada", "joy", "positive", 0, 0),
    ("You are angry.", "Ben", "anger", "negative", 0, 1),
    ("I am fine.", "Ada", "neutral", "neutral", 0, 2),
    ("They are afraid.", "Ben", "fear", "negative", 0, 3),
    ("We are so sad.", "Ada", "sadness", "negative", 1, 0),
    ("Is she happy?", "Cleo", "surprise", "positive", 1, 1),
    ("He is fine.", "Ada", "neutral", "neutral", 1, 2),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.dcet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "dev.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *ROWS])
    return path


def run(bundle: Path, data: Path, output: Path, *options: str) -> dict[str, Any]:
    command = ["accuracy", str(bundle), "--corpus", "meld", "--data", str(data)]
    result = CliRunner().invoke(main, [*command, "--json", str(output), *options])
    assert result.exit_code == 0, result.output
    return dict(json.loads(output.read_text(encoding="utf-8")))


def played(path: Path, data: Path, *, fresh_turns: bool) -> dict[str, Any]:
    """The same dialogues with a new conversation for each dialogue, or for each turn."""
    bundle = Bundle.open(path)
    dialogues = read_meld(data)
    estimates = []
    for dialogue in dialogues:
        conversation = Conversation(bundle)
        for turn in dialogue.turns:
            estimates.append(conversation.turn(turn.speaker, turn.text))
            conversation = Conversation(bundle) if fresh_turns else conversation
    return conversation_metrics(
        dialogues,
        np.array([list(estimate.probabilities.values()) for estimate in estimates]),
        np.array([estimate.sentiment for estimate in estimates]),
        np.array([0.0 if estimate.shift is None else estimate.shift for estimate in estimates]),
    )


@pytest.mark.parametrize("reset", [False, True])
def test_figures_are_those_of_the_turns(
    bundle: Path, data: Path, tmp_path: Path, reset: bool
) -> None:
    report = run(bundle, data, tmp_path / "a.json", *(["--reset-memory"] if reset else []))
    expected = played(bundle, data, fresh_turns=reset)
    assert set(expected) <= set(report)
    assert report["confusion"] == expected["confusion"]
    for key in ("n", "weighted_f1", "macro_f1", "accuracy", "ece", "nll", "sentiment", "shift"):
        assert report[key] == pytest.approx(expected[key], abs=1e-6)


def test_report_says_what_was_measured(bundle: Path, data: Path, tmp_path: Path) -> None:
    report = run(bundle, data, tmp_path / "a.json", "--reset-memory")
    assert report["schema"] == ACCURACY_SCHEMA
    assert report["reset_memory"] is True
    assert (report["corpus"], report["data"]) == ("meld", "dev.csv")
    assert report["bundle"]["sha256"] == Bundle.open(bundle).sha256
    assert report["engine"]["name"] == "onnxruntime-cpu"
    assert report["engine"]["reason"] == "first choice of target cpu"


@pytest.mark.parametrize(
    ("lacking", "ranked_by"), [((), "confidence"), (("confidence",), "top probability")]
)
def test_risk_is_that_of_the_surest_turns(
    data: Path, tmp_path: Path, lacking: tuple[str, ...], ranked_by: str
) -> None:
    """The report equals the same turns, ranked here."""
    bundle = write_tiny_bundle(tmp_path / "tiny.dcet", lacking=lacking)
    trust = run(bundle, data, tmp_path / "a.json", "--reset-memory")["trust"]
    opened = Bundle.open(bundle)
    estimates = [Conversation(opened).turn(speaker, text) for text, speaker, *_ in ROWS]
    right = [estimate.emotion == row[2] for estimate, row in zip(estimates, ROWS, strict=True)]
    sure = [
        max(estimate.probabilities.values()) if estimate.confidence is None else estimate.confidence
        for estimate in estimates
    ]
    ranked = [right[place] for place in np.argsort(-np.array(sure), kind="stable")]
    risks = [ranked[:n].count(False) / n for n in range(1, len(ranked) + 1)]
    assert trust["ranked_by"] == ranked_by
    assert trust["aurc"] == pytest.approx(np.mean(risks))
    by_coverage = {risk["coverage"]: risk["risk"] for risk in trust["risks"]}
    assert list(by_coverage) == [1, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert (by_coverage[1], by_coverage[0.7]) == pytest.approx((risks[6], risks[4]))
    assert sum(row["n"] for row in trust["reliability"]) == len(ROWS)
    answered = [ok for ok, estimate in zip(right, estimates, strict=True) if not estimate.abstains]
    assert trust["abstaining"] == len(ROWS) - len(answered)
    risk = np.mean(np.logical_not(answered)) if answered else None
    assert trust["risk_answered"] == (pytest.approx(risk) if answered else None)


def test_a_turn_without_an_estimate_is_the_least_sure(bundle: Path) -> None:
    sure = Conversation(Bundle.open(bundle), abstain_below=0.0).turn("Ada", "I am so happy!")
    trust = measure_trust([None, sure, None, None], np.array([False, True, True, False]))
    assert [risk.risk for risk in trust.risks] == [0.5, 0.5, 1 / 3, 1 / 3, 0.5, 0.5]
    assert trust.aurc == pytest.approx(np.mean([0, 1 / 2, 1 / 3, 2 / 4]))
    assert (trust.abstaining, trust.risk_answered) == (3, 0)
    assert [(row.n, row.accuracy) for row in trust.reliability] == [(1, 1)]
    assert measure_trust([None], np.array([True])).ece is None
    unsure = Conversation(Bundle.open(bundle), abstain_below=1.0).turn("Ada", "I am so happy!")
    trust = measure_trust([unsure], np.array([True]))
    assert (trust.abstaining, trust.risk_answered, trust.risks[0].risk) == (1, None, 0)


def test_page_shows_risk_and_reliability(bundle: Path, data: Path, tmp_path: Path) -> None:
    run(bundle, data, tmp_path / "a.json", f"--html={tmp_path / 'a.html'}")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    for title in ("Risk against coverage", "Reliability of the confidence"):
        assert title in text
    assert "nan" not in text


def test_the_memory_changes_the_figures(bundle: Path, data: Path, tmp_path: Path) -> None:
    with_memory = run(bundle, data, tmp_path / "a.json")
    without = run(bundle, data, tmp_path / "b.json", "--reset-memory")
    assert with_memory["nll"] != without["nll"]


def test_names_in_brackets_are_shown_whole(bundle: Path, data: Path, tmp_path: Path) -> None:
    named = shutil.copy(bundle, tmp_path / "tiny[red].dcet")
    result = CliRunner().invoke(main, ["accuracy", str(named), "--data", str(data)])
    assert result.exit_code == 0, result.output
    assert "tiny[red].dcet" in result.stdout


def test_what_cannot_be_used_counts_as_a_host_would_know_it(bundle: Path, tmp_path: Path) -> None:
    """A first turn of emoji is neutral, a later one what its speaker was last."""
    data, output = tmp_path / "dev.csv", tmp_path / "a.json"
    laughs = ("\U0001f602\U0001f602", "Ben", "neutral", "positive", 0, 1)
    again = ("\U0001f602\U0001f602", "Ada", "joy", "positive", 0, 2)
    with data.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, ROWS[0], laughs, again])
    report = run(bundle, data, output)
    assert (report["n"], report["unusable"]) == (
        3,
        {"n": 2, "first": ["dev.csv, line 3", "dev.csv, line 4"]},
    )
    estimate = Conversation(Bundle.open(bundle)).turn("Ada", ROWS[0][0])
    likeliest = list(estimate.probabilities).index(estimate.emotion)
    confusion = np.zeros((7, 7), int)
    confusion[EMOTIONS.index("joy"), likeliest] = 2
    confusion[EMOTIONS.index("neutral"), EMOTIONS.index("neutral")] = 1
    assert report["confusion"] == confusion.tolist()
    result = CliRunner().invoke(main, ["accuracy", str(bundle), "--data", str(data)])
    assert "2 of them could not be used" in result.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_what_was_measured_is_shown_although_it_cannot_be_written(bundle: Path, data: Path) -> None:
    command = ["accuracy", str(bundle), "--data", str(data), "--json", "/dev/full"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert "weighted_f1" in result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Utterance,Speaker\nhi,Ada\n", "Emotion"),
        (",".join(COLUMNS) + "\n", "no utterance"),
        (",".join(COLUMNS) + "\nhi,Ada,glee,positive,0,0\n", "glee"),
    ],
)
def test_broken_data_exits_with_2_and_writes_nothing(
    bundle: Path, tmp_path: Path, text: str, message: str
) -> None:
    data, output = tmp_path / "broken.csv", tmp_path / "a.json"
    data.write_text(text, encoding="utf-8")
    command = ["accuracy", str(bundle), "--data", str(data), "--json", str(output)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not output.exists()
