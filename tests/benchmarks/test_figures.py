"""The page of figures is what the command makes of the reports, and of nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dcet.benchmarks.cli import main
from dcet.benchmarks.figures import RECORDED_SCHEMA, render_figures
from tests.benchmarks.test_compare import ACCURACY

REPO = Path(__file__).resolve().parents[2]
ROW: dict[str, Any] = {
    **ACCURACY,
    "created": "2026-11-28T10:00:00+00:00",
    "machine": {"cpu": "Some|CPU", "cores": 2},
    "bundle": {
        "name": "dcet",
        "version": "0.3.0",
        "target": "cpu",
        "precision": {"text": "int8", "step": "fp32", "audio": "int8", "face": "int8"},
    },
    "uar": 0.41,
    "unusable": {"n": 3, "first": []},
}


def write(folder: Path, **reports: dict[str, Any]) -> Path:
    for name, report in reports.items():
        (folder / f"{name}.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


def recorded(rows: list[list[Any]]) -> dict[str, Any]:
    """A report of one table with two columns."""
    table = {"title": "t", "command": "c", "machine": "m", "note": "", "columns": ["a", "b"]}
    return {"schema": RECORDED_SCHEMA, "tables": [{**table, "rows": rows}]}


def test_a_cell_stays_in_its_place(tmp_path: Path) -> None:
    page = render_figures(write(tmp_path, kept=recorded([["1|2\n3", "4"]])))
    assert "| 1\\|2 3 | 4 |" in page.splitlines()


def test_the_page_in_the_repository_is_what_the_command_makes(tmp_path: Path) -> None:
    output = tmp_path / "benchmarks.md"
    command = ["figures", str(REPO / "benchmarks" / "results"), str(output)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    made, kept = (p.read_text(encoding="utf-8") for p in (output, REPO / "docs" / "benchmarks.md"))
    assert made == kept


def test_a_row_has_machine_precision_engine_date_and_file(tmp_path: Path) -> None:
    page = render_figures(write(tmp_path, mine=ROW))
    (line,) = (line for line in page.splitlines() if "mine.json" in line)
    assert line == (
        "| Some\\|CPU, 2 cores | dcet 0.3.0, cpu, int8 (text, audio, face), fp32 (step) | "
        "onnxruntime-cpu | meld, dev.csv | 100 | 0.620 | 0.630 | 0.410 | 0.030 | 0.200 | 3 | "
        "2026-11-28 | `mine.json` |"
    )


def test_every_table_has_as_many_cells_in_every_line(tmp_path: Path) -> None:
    recorded = json.loads(
        (REPO / "benchmarks" / "results" / "recorded.json").read_text(encoding="utf-8")
    )
    assert recorded["schema"] == RECORDED_SCHEMA
    for table in recorded["tables"]:
        assert table["command"]
        assert table["machine"]
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        ({}, "expected reports of dcet-bench"),
        ({"other": {"schema": "dcet-bench/latency/99"}}, "other.json: expected schema"),
        (
            {"cut": {key: ROW[key] for key in ("schema", "engine", "bundle")}},
            "cut.json: KeyError('machine') is missing",
        ),
        ({"typed": {**ROW, "engine": {"name": None}}}, "typed.json: AttributeError"),
        ({"typed": {**ROW, "bundle": {**ROW["bundle"], "precision": []}}}, "typed.json: Attribute"),
        ({"kept": {"schema": RECORDED_SCHEMA}}, "kept.json: KeyError('tables') is missing"),
        ({"kept": recorded(rows=[["1", None]])}, "kept.json: AttributeError"),
        ({"kept": recorded(rows=[["1"]])}, "a row of other length than its columns"),
    ],
)
def test_what_is_no_report_is_named_and_nothing_is_written(
    tmp_path: Path, reports: dict[str, Any], message: str
) -> None:
    output = tmp_path / "page.md"
    folder = tmp_path / "results"
    folder.mkdir()
    command = ["figures", str(write(folder, **reports)), str(output)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not output.exists()
