"""Which bundle `dcet-bench` measures when none is named."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dcet.benchmarks import default_bundle
from dcet.benchmarks.default_bundle import ExportFailed, find_default_bundle
from dcet.runtime.errors import MissingExtra


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dcet"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def exporter(exit_code: int) -> Any:
    """Stands for the subprocess that exports; writes the file it was asked for."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        assert command[1:5] == ["-m", "dcet.export.cli", "--target", "cpu"]
        if exit_code == 0:
            Path(command[-1]).touch()
        return subprocess.CompletedProcess(command, exit_code)

    return run


def test_the_newest_in_the_folder_comes_first(here: Path) -> None:
    for age_s, target in enumerate(("cpu", "openvino-cpu")):
        path = here / f"dcet-default-{target}.dcet"
        path.touch()
        os.utime(path, (1000 - age_s, 1000 - age_s))
    assert find_default_bundle(here, print).name == "dcet-default-cpu.dcet"


def test_an_absent_one_is_exported_once(
    here: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(default_bundle, "find_spec", lambda module: object())
    monkeypatch.setattr(subprocess, "run", exporter(0))
    paths = {find_default_bundle(here, said.append) for _ in range(2)}
    assert paths == {cache / "dcet-default-cpu.dcet"}
    assert len(said) == 1


def test_an_export_that_fails_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_bundle, "find_spec", lambda module: object())
    monkeypatch.setattr(subprocess, "run", exporter(2))
    with pytest.raises(ExportFailed, match="exit code 2"):
        find_default_bundle(here, print)


def test_without_torch_the_extra_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_bundle, "find_spec", lambda module: None)
    with pytest.raises(MissingExtra, match=r"pip install 'dcet\[export\]'"):
        find_default_bundle(here, print)
