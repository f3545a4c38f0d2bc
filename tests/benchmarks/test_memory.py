"""What each part of the memory is worth, measured through the runtime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dcet.benchmarks.cli import main
from dcet.benchmarks.comparison import ReportError
from dcet.benchmarks.figures import render_figures
from dcet.benchmarks.memory.compare import compare_memory
from dcet.benchmarks.memory.measure import MEMORY_SCHEMA, Forgetful, parts
from dcet.benchmarks.memory.paired import PIECE_TURNS, lost, pieces
from dcet.data.bootstrap import confusions
from dcet.data.playing import play
from dcet.data.streams import read_stream, under_one_name
from dcet.runtime import Bundle
from dcet.runtime.errors import DataError, MissingColumn
from dcet.runtime.labels import EMOTIONS
from tests.tiny_bundle import STATES
from tests.tiny_recordings import ACTORS, SPLIT, TURNS, write_recordings, write_table

DIALOGUES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds meld/, ravdess/ and ferplus/, and plain.csv."""
    folder = write_recordings(tmp_path_factory.mktemp("memory") / "data", DIALOGUES)
    rows: list[tuple[object, ...]] = [
        ("first", place, *turn) for place, turn in reversed(list(enumerate(TURNS)))
    ]
    write_table(folder / "plain.csv", ("dialogue", "turn", "speaker", "text", "emotion"), rows)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path, tiny: Path) -> dict[str, Any]:
    dialogues, clips = folder / "meld" / f"{SPLIT}_sent_emo.csv", folder / "ravdess"
    outputs = [f"--{kind}={folder / 'report'}.{kind}" for kind in ("json", "html")]
    command = ["memory", str(tiny), f"--turns={dialogues}", f"--turns={clips}", *outputs]
    result = CliRunner().invoke(main, [*command, "--bank-bytes=4000"])
    assert result.exit_code == 0, result.output
    assert "lost" in result.stdout
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def test_every_part_is_taken_away(report: dict[str, Any], folder: Path) -> None:
    assert report["schema"] == MEMORY_SCHEMA
    names = [[row["name"] for row in stream["conditions"]] for stream in report["streams"]]
    of_text = [name for name in STATES if name not in ("speaker_ring_mask", "scene_ring_speaker")]
    groups = ["all of the speaker", "all of the scene", "everything", "the long-term bank", "names"]
    assert names == [[*of_text, *groups], [*of_text, "voice", *groups]]
    text, clips = report["streams"]
    assert (text["turns"], text["conversations"], text["speakers"]) == (15, DIALOGUES, 3)
    assert (clips["turns"], clips["conversations"], clips["speakers"]) == (14, 1, len(ACTORS))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(row["name"] in page for row in text["conditions"])


def test_what_is_switched_off_changes_the_answers(report: dict[str, Any]) -> None:
    for stream in report["streams"]:
        changed = {row["name"]: row["changed"] for row in stream["conditions"]}
        assert changed["everything"] > 0
        for row in stream["conditions"]:
            lost_f1 = row["lost"]["weighted_f1"]
            assert lost_f1["value"] == pytest.approx(stream["weighted_f1"] - row["weighted_f1"])
            assert lost_f1["low"] <= lost_f1["high"]
            if not row["changed"]:
                assert (lost_f1["low"], lost_f1["high"]) == (0, 0)


def test_without_everything_each_turn_is_the_first(bundle: Bundle, folder: Path) -> None:
    stream = read_stream(folder / "plain.csv", SPLIT)
    everything = parts(bundle.manifest.state)["everything"]
    engine = bundle.engine("onnxruntime")
    forgetful = play(bundle, stream, Forgetful(engine, everything, {}))
    alone = type(stream)("alone", {str(n): (turn,) for n, turn in enumerate(stream)})
    np.testing.assert_array_equal(forgetful, play(bundle, alone, engine))
    whole = play(bundle, stream, Forgetful(engine, (), {}))
    np.testing.assert_array_equal(whole, play(bundle, stream, engine))
    assert (whole != forgetful).any()


def test_one_name_is_one_speaker(folder: Path) -> None:
    stream = under_one_name(read_stream(folder / "ravdess", SPLIT))
    assert {turn.speaker for turn in stream} == {"everybody"}
    assert len(stream) == len(ACTORS) * len(EMOTIONS)


def test_a_table_of_turns_is_read_in_the_order_of_its_turns(folder: Path) -> None:
    stream = read_stream(folder / "plain.csv", SPLIT)
    assert stream.name == "plain"
    found = [(turn.speaker, turn.text, EMOTIONS[turn.emotion]) for turn in stream]
    assert found == list(TURNS)


def test_a_table_of_something_else(tmp_path: Path) -> None:
    write_table(tmp_path / "other.csv", ("name", "age"), [("Ann", 3)])
    with pytest.raises(MissingColumn, match="dialogue, turn, speaker, text, emotion are missing"):
        read_stream(tmp_path / "other.csv", SPLIT)
    write_table(tmp_path / "none.csv", ("dialogue", "turn", "speaker", "text", "emotion"), [])
    with pytest.raises(DataError, match="expected labelled turns, got none"):
        read_stream(tmp_path / "none.csv", SPLIT)


def test_long_conversations_are_drawn_in_pieces() -> None:
    assert np.bincount(pieces([3, 2 * PIECE_TURNS + 1, PIECE_TURNS])).tolist() == [
        3,
        PIECE_TURNS,
        PIECE_TURNS,
        1,
        PIECE_TURNS,
    ]


def test_the_interval_holds_the_true_loss_and_not_zero() -> None:
    """Answers that are right in 80 % of the turns against answers that are right in 60 %."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 3000)
    piece = pieces([10] * 300)
    made = []
    for right in (0.8, 0.6):
        others = (labels + rng.integers(1, 7, 3000)) % 7
        answers = np.where(rng.uniform(size=3000) < right, labels, others)
        made.append(confusions(labels, answers, piece))
    for found in lost(made[0], made[1], seed=0).values():
        assert 0.1 < found.low < found.value < found.high < 0.3
        assert found.low < 0.2 < found.high


def test_reports_are_compared_and_tabled(report: dict[str, Any], folder: Path) -> None:
    rows = list(compare_memory(report, report, 0.1))
    assert len(rows) == 4
    assert not any(row.regressed for row in rows)
    other = {**report, "streams": report["streams"][:1]}
    with pytest.raises(ReportError, match="different turns"):
        list(compare_memory(report, other, 0.1))
    assert "What the memory is worth" in render_figures(folder)
