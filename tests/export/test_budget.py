"""The search for the most accurate bundle that holds a latency budget."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from dcet.data.metrics import emotion_metrics
from dcet.data.playing import play
from dcet.data.turns import LabelledTurn, Turns
from dcet.export import budget, budget_view, int8_bound
from dcet.export.budget import BudgetError, Search, fullest_turn, search_budget
from dcet.export.cli import main
from dcet.runtime import Bundle, Conversation
from dcet.runtime.labels import EMOTIONS
from tests.tiny_bundle import write_tiny_bundle

RNG = np.random.default_rng(0)
PLENTY_MS = 60_000.0


def said(number: int) -> LabelledTurn:
    """Make a turn of a speaker who gets louder and redder from second to second."""
    pcm = RNG.standard_normal(16_000 * 4) * np.linspace(0.01, 0.3, 16_000 * 4)
    faces = RNG.integers(0, 256, (5, 20, 20, 3)) * np.linspace(0.2, 1, 5)[:, None, None, None]
    return LabelledTurn(
        speaker=f"speaker {number % 2}",
        emotion=number % len(EMOTIONS),
        text="i am so happy !" if number % 3 else None,
        audio=pcm.astype(np.float32),
        faces=tuple(faces.astype(np.uint8)),
    )


TURNS = Turns("loud", {"a": tuple(map(said, range(9))), "b": (said(9), said(10))})


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "ROUNDS", 2)
    monkeypatch.setattr(budget, "CONFIRMING_TURNS", 5)


def export(student: str, precision: str, output: Path) -> None:
    write_tiny_bundle(output, senses=("audio", "face") if student == "senses" else ())


def search(output: Path, budget_ms: float, *students: str) -> Search:
    return search_budget(
        students or ("senses",),
        ("fp32",),
        TURNS,
        budget_ms,
        output,
        export=export,
        progress=lambda message: None,
    )


def simulate(
    monkeypatch: pytest.MonkeyPatch, cost_ms: Callable[[dict[str, int], bool], float]
) -> None:
    """Let a turn take what `cost_ms` says of the limits, and of whether it is the confirmation."""

    def run(runner: budget._Runner, count: int) -> list[float]:
        return [cost_ms(runner.limits, count == budget.CONFIRMING_TURNS)] * count

    monkeypatch.setattr(budget._Runner, "run", run)


def test_the_bundle_behaves_as_it_was_measured(tmp_path: Path) -> None:
    found = search(tmp_path / "x.dcet", PLENTY_MS)
    assert len(found.candidates) == 16
    assert found.chosen.weighted_f1 == max(row.weighted_f1 for row in found.candidates)
    assert len({row.weighted_f1 for row in found.candidates}) > 3  # what is heard and seen matters
    bundle = Bundle.open(tmp_path / "x.dcet")
    played = emotion_metrics(TURNS.labels, play(bundle, TURNS))
    assert played["weighted_f1"] == found.chosen.weighted_f1
    most = {name: bundle.manifest.modalities[name].most for name in ("audio", "face")}
    assert most == found.chosen.limits
    assert bundle.manifest.deadline_ms == PLENTY_MS
    assert (found.turns, found.turns_sha256) == ("loud", TURNS.sha256)


@pytest.mark.parametrize("limits", [{}, {"audio": 1}, {"audio": 2, "face": 4}])
def test_what_a_limit_leaves_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    wanted = {"audio": 8, "face": 8} | limits
    simulate(monkeypatch, lambda found, _: 1.0 if found == wanted else 100.0)
    search(tmp_path / "x.dcet", 2)
    bundle = Bundle.open(tmp_path / "x.dcet")
    rows = bundle.manifest.to_json()["modalities"]
    assert {name: row["limit"] for name, row in rows.items() if "limit" in row} == limits
    schema = json.loads(Path("docs/bundle.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(bundle.manifest.to_json())
    estimate = Conversation(bundle).turn("Ann", **fullest_turn(bundle))
    expected = {"audio": f"audio: the last {3 * wanted['audio']} s of 24 s are used"}
    expected["face"] = f"face: {wanted['face']} of 8 images are used, evenly spread"
    assert [note for note in estimate.degraded if not note.startswith("text")] == [
        expected[name] for name in limits
    ]


def test_the_front_has_no_candidate_that_a_faster_one_equals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, lambda limits, _: limits["audio"] + 10.0 * limits["face"])
    found = search(tmp_path / "x.dcet", 45)
    assert [row.p95_ms for row in found.candidates] == sorted(r.p95_ms for r in found.candidates)
    for row in found.candidates:
        beaten = any(
            other.weighted_f1 >= row.weighted_f1
            for other in found.candidates
            if other.p95_ms < row.p95_ms
        )
        assert (row in found.front) == (not beaten)
    in_time = [row for row in found.candidates if row.p95_ms <= 45]
    assert 0 < len(in_time) < 16
    assert found.chosen.weighted_f1 == max(row.weighted_f1 for row in in_time)


def test_one_that_was_fast_by_luck_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, lambda limits, _: 1.0)
    lucky = search(tmp_path / "x.dcet", 2).chosen.limits
    simulate(monkeypatch, lambda limits, again: 3.0 if again and limits == lucky else 1.0)
    assert search(tmp_path / "x.dcet", 2).chosen.limits != lucky
    simulate(monkeypatch, lambda limits, again: 3.0 if again else 1.0)
    with pytest.raises(BudgetError, match="16 candidates held 2 ms at first, but none when"):
        search(tmp_path / "y.dcet", 2)
    assert not (tmp_path / "y.dcet").exists()


def test_every_student_is_tried_and_of_equal_ones_the_smaller_is_taken(tmp_path: Path) -> None:
    found = search(tmp_path / "x.dcet", PLENTY_MS, "senses", "reads")
    assert len(found.candidates) == 16 + 1
    (reads,) = (row for row in found.candidates if row.student == "reads")
    assert reads.limits == {}
    assert Bundle.open(tmp_path / "x.dcet").manifest.graphs["step"] is not None


def run(folder: Path, tmp_path: Path, *options: object) -> Result:
    command = ["--target", "cpu", "--checkpoint", folder, *options]
    return CliRunner().invoke(main, list(map(str, command)))


@pytest.fixture
def quick(traced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_bound, "default_turns", lambda: TURNS)


@pytest.mark.usefixtures("quick")
def test_the_command_shows_what_it_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--budget-ms", PLENTY_MS, "--precision", "fp32")
    shown = run(folder, tmp_path, *options)
    assert shown.exit_code == 0, shown.output
    assert "chosen" in shown.stdout
    assert "tiny-cpu-60000ms.dcet" in shown.stdout
    found = json.loads(run(folder, tmp_path, *options, "--json").stdout)
    assert found["bundle"] == "tiny-cpu-60000ms.dcet"
    assert len(found["candidates"]) == 9
    assert any(row["on_front"] for row in found["candidates"])
    assert found["turns_sha256"] == TURNS.sha256


@pytest.mark.usefixtures("quick")
def test_a_budget_that_nothing_holds(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.dcet"
    options = ("--budget-ms", 0.001, "--precision", "fp32", "--output", output)
    result = run(folder, tmp_path, *options)
    assert result.exit_code == 1  # a bound that is not held
    assert "no candidate holds 0.001 ms on this machine; the fastest of 9" in result.stderr
    assert "Nothing was written" in result.stderr
    assert not list(tmp_path.iterdir())


def test_all_models_that_ship_are_tried_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: dict[tuple[str, ...], str] = {}

    def note(students: Sequence[str], *others: Any) -> None:
        tried[tuple(students)] = others[4].name

    monkeypatch.setattr(budget_view, "search_and_show", note)
    monkeypatch.chdir(tmp_path)
    for options in ((), ("--model", "default"), ("--model", "large"), ("--student", "large")):
        done = CliRunner().invoke(main, ["--target", "cpu", "--budget-ms", "5", *options])
        assert done.exit_code == 0, done.output
    assert tried == {
        ("default", "large"): "dcet-cpu-5ms.dcet",  # whichever of them it will be
        ("default",): "dcet-default-cpu-5ms.dcet",
        ("large",): "dcet-large-cpu-5ms.dcet",
    }


def test_students_are_for_a_budget(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path, "--student", folder)
    assert result.exit_code == 2
    assert "is for --budget-ms" in result.stderr
