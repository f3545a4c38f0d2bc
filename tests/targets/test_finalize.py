"""`dcet-finalize` leaves on the device what was checked there, whole, or nothing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dcet.runtime import Bundle, Conversation
from dcet.targets.finalize.cli import main
from tests.tiny_bundle import write_tiny_bundle


def finalize(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that is a folder."""
    return write_tiny_bundle(tmp_path / "tiny.dcet", as_zip=False)


def test_a_rung_that_builds_nothing_is_checked_and_recorded(folder: Path) -> None:
    result = finalize(folder, "--json")
    assert result.exit_code == 0, result.output
    done = json.loads(result.stdout)
    assert (done["engine"], done["outcome"], done["fallen"]) == ("onnxruntime", "checked", [])
    record = json.loads(Path(done["folder"], "record.json").read_text())
    assert Path(done["folder"]).parent == folder / "cache"
    cases = {case.name for case in Bundle.open(folder).manifest.golden.cases}
    assert {row["case"] for row in record["parity"]} == cases
    assert Conversation(Bundle.open(folder)).turn("Ann", "i am happy").engine == "onnxruntime-cpu"
    assert json.loads(finalize(folder, "--json").stdout)["outcome"] == "kept"
