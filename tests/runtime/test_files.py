"""Files appear whole or not at all, also when the disk is full."""

import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from dcet.runtime.errors import BundleNotFound, WriteError
from dcet.runtime.files import (
    atomic_folder,
    atomic_path,
    read_json,
    temporary_folder,
    user_cache_folder,
    write_json,
)

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
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "Zoë"}
    assert names(tmp_path) == ["report.json"]


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "golden.npz") as temporary:
        np.savez(temporary, a=np.zeros(3))
    assert names(tmp_path) == ["golden.npz"]


def interrupted(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"n": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"n": float("nan")})
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"n": 1}
    assert names(tmp_path) == ["report.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_FSIZE")
def test_a_full_disk_is_a_write_error(tmp_path: Path) -> None:
    path = tmp_path / "model.dcet"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    message = subprocess.check_output(command, encoding="utf-8")
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


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs and devices")


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    null, full = tmp_path / "null", tmp_path / "full"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    try:
        write_json(null, {"n": 1})
    except WriteError as error:
        if "Permission denied" in str(error):
            pytest.skip("this file system has no devices")
        raise
    with pytest.raises(WriteError, match=f"could not write {full}: No space left on device"):
        write_json(full, {"n": 1})
    for path in (null, full):
        assert stat.S_ISCHR(path.stat().st_mode)
    assert sorted(names(tmp_path)) == ["full", "null"]


@posix
def test_null_is_still_there() -> None:
    write_json(os.devnull, {"n": 1})
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@posix
@pytest.mark.parametrize("through_a_link", [False, True])
def test_the_reader_of_a_fifo_gets_all(tmp_path: Path, through_a_link: bool) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = tmp_path / "link" if through_a_link else fifo
    if through_a_link:
        path.symlink_to(fifo)
    value = {"numbers": list(range(100_000))}  # more than a pipe holds
    writer = threading.Thread(target=write_json, args=(path, value))
    writer.start()
    assert json.loads(fifo.read_bytes()) == value
    writer.join()
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@posix
def test_a_link_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("there", "new"):
        (tmp_path / name).symlink_to(Path("folder", name))
    write_json(folder / "there", {})
    for name in ("there", "new"):
        write_json(tmp_path / name, {"n": 2})
        assert (tmp_path / name).is_symlink()
        assert not (folder / name).is_symlink()
        assert json.loads((folder / name).read_text(encoding="utf-8")) == {"n": 2}
    (tmp_path / "linked").symlink_to(folder)
    with atomic_folder(tmp_path / "linked") as new:
        (new / "x").touch()
    assert (tmp_path / "linked").is_symlink()
    assert names(folder) == ["x"]


@posix
def test_links_in_a_circle_are_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(WriteError, match="Too many levels of symbolic links"):
        write_json(tmp_path / "a", {})


def test_a_file_and_a_folder_do_not_replace_each_other(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="it is a folder, expected a file"):
        write_json(tmp_path / "folder", {})
    with (
        pytest.raises(WriteError, match="a file, expected a folder"),
        atomic_folder(tmp_path / "file"),
    ):
        pass
    assert (tmp_path / "folder").is_dir()
    assert (tmp_path / "file").is_file()


@posix
def test_what_was_private_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.touch(mode=0o600)
    write_json(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def interrupted_folder(folder: Path) -> None:
    with atomic_folder(folder) as new:
        (new / "half").touch()
        raise KeyboardInterrupt


def test_a_folder_takes_the_place_of_the_old_one_or_leaves_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for name in ("a", "b"):
        with atomic_folder(folder) as new:
            (new / name).touch()
        assert names(folder) == [name]
    with pytest.raises(KeyboardInterrupt):
        interrupted_folder(folder)
    with pytest.raises(WriteError), atomic_folder(folder) as new:
        new.rmdir()  # so that the second step fails
    assert names(folder) == ["b"]
    assert names(tmp_path) == ["run"]


@posix
def test_a_folder_that_a_killed_process_moved_aside_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / ".dcet-killed00.partial" / "old" / "run"
    aside.mkdir(parents=True)
    (aside / "weights").touch()
    write_json(tmp_path / "report.json", {})
    assert sorted(names(tmp_path)) == ["report.json", "run"]
    assert names(tmp_path / "run") == ["weights"]


@posix
def test_leftovers_of_killed_processes_alone_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".dcet-killed00.partial").mkdir()
    (tmp_path / ".dcet-mine").mkdir()
    (tmp_path / ".dcet-linked00.partial").symlink_to(tmp_path / ".dcet-mine")
    with temporary_folder(tmp_path) as one, temporary_folder(tmp_path) as other:
        (one / "x").touch()
        assert {one.name, other.name} < set(names(tmp_path))
        assert names(one) == ["x"]
    assert sorted(names(tmp_path)) == [".dcet-linked00.partial", ".dcet-mine"]


def test_no_other_module_makes_temporary_folders() -> None:
    """A folder that is made without a lock is not removed after a kill."""
    repo = Path(__file__).parents[2]
    sources = [
        path
        for path in repo.glob("*/dcet/**/*.py")
        if "tempfile" in path.read_text(encoding="utf-8")
    ]
    assert [path.name for path in sources] == ["files.py"]


def test_a_temporary_folder_is_by_default_where_the_system_has_them() -> None:
    with temporary_folder() as folder:
        assert folder.parent == Path(tempfile.gettempdir())
    assert not folder.exists()


def test_a_name_that_is_not_utf8_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, {"bundle": "\udcff.dcet", "name": "Zoë"})
    assert read_json(path) == {"bundle": "\udcff.dcet", "name": "Zoë"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[NaN]", "NaN is no number of JSON"),
        ("[-Infinity]", "-Infinity is no number of JSON"),
        ("[1e999]", "1e999 is too large"),
        ("[" * 100_000, "nested too deeply"),
        ("[1", "Expecting"),
    ],
)
def test_what_is_no_json_is_a_value_error(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=why):
        read_json(path)


def test_json_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text('{"n": 1.5}', encoding="utf-8-sig")
    assert read_json(path) == {"n": 1.5}
