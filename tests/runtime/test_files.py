"""Files appear whole or not at all, also when the disk is full."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dcet.runtime.errors import BundleNotFound, WriteError
from dcet.runtime.files import atomic_path, user_cache_folder, write_json

FULL_DISK = """
import resource, signal, sys
from dcet.runtime.errors import WriteError
from dcet.runtime.files import atomic_path

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails with an OSError
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    with atomic_path(sys.argv[1]) as temporary:
        temporary.write_bytes(bytes(1 << 20))
except WriteError as error:
    print(error)
"""


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"n": 1})
    write_json(path, {"name": "Zoë"})
    assert json.loads(path.read_text("utf-8")) == {"name": "Zoë"}
    assert names(tmp_path) == ["report.json"]


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "golden.npz") as temporary:
        np.savez(temporary, a=np.zeros(3))
    assert names(tmp_path) == ["golden.npz"]


def interrupted(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"n": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"n": float("nan")})
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert json.loads(path.read_text()) == {"n": 1}
    assert names(tmp_path) == ["report.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_FSIZE")
def test_a_full_disk_is_a_write_error(tmp_path: Path) -> None:
    path = tmp_path / "model.dcet"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    message = subprocess.check_output(command, text=True)
    assert message.startswith(f"could not write {path}: File too large. Nothing was left behind;")
    assert names(tmp_path) == []


def test_no_space_left(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No space left on device"), atomic_path(tmp_path / "x"):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def test_a_folder_that_is_not_there_is_a_write_error(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x.json"
    with pytest.raises(WriteError, match="No such file or directory"):
        write_json(path, {})


def test_a_block_that_writes_nothing_is_a_write_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError), atomic_path(tmp_path / "x"):
        pass


def test_an_error_of_ours_stays_what_it_is(tmp_path: Path) -> None:
    """BundleNotFound is an OSError too, but has nothing to do with writing."""
    with pytest.raises(BundleNotFound), atomic_path(tmp_path / "x"):
        raise BundleNotFound("gone")


def test_the_users_cache_is_where_the_xdg_specification_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert user_cache_folder() == tmp_path / ".cache" / "dcet"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert user_cache_folder() == tmp_path / "other" / "dcet"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(Path, "home", homeless)
    assert user_cache_folder() is None


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")
