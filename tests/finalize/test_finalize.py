"""`dcet-finalize` leaves on the device what was checked there, whole, or nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dcet.finalize import fallback
from dcet.finalize.attempt import Attempt
from dcet.finalize.builders import find_builder
from dcet.finalize.cli import main
from dcet.finalize.lock import LOCK, locked
from dcet.finalize.worker import ran_out_of_memory
from dcet.runtime import Bundle, Conversation
from dcet.runtime.engines.device_cache import UNKNOWN_PLATFORM, Outcome, cache_key
from dcet.runtime.engines.registry import ENGINES
from dcet.runtime.errors import (
    BundleHashMismatch,
    BundlePathOutside,
    ConfigError,
    EngineError,
)
from tests.tiny_bundle import write_tiny_bundle

OPEN = "import sys; from dcet.runtime import Bundle; Bundle.open(sys.argv[1]).engine('tensorrt')"
ORDER = ("tensorrt", "onnxruntime")
PLANS = {"text.plan", "audio.plan", "face.plan", "step.plan"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that is a folder, for a target with TensorRT."""
    return write_tiny_bundle(tmp_path / "tiny.dcet", engines=ORDER, as_zip=False)


@pytest.fixture
def device(fake_device: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Give the fake device a home folder of its own."""
    fake_device.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    fake_device.setenv("DCET_FAKE_MARKER", str(tmp_path / "marker"))
    return fake_device


def finalize(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def result(*arguments: object) -> dict[str, Any]:
    """Run dcet-finalize, and return the JSON that it prints."""
    done = finalize(*arguments, "--json")
    assert done.exit_code == 0, done.output
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def message(*arguments: object) -> str:
    """The one line that says what is wrong."""
    done = finalize(*arguments)
    assert done.exit_code == 2, done.output
    return next(line for line in done.stderr.splitlines() if line.startswith("Error: "))


def published(bundle: Path) -> list[Path]:
    """Folders of engines, none of them half there."""
    cache = bundle / "cache"
    folders = [p for p in cache.iterdir() if p.is_dir() and p.name not in ("kept", "quarantine")]
    for place in folders:
        assert not place.name.startswith(".")
        record = json.loads((place / "record.json").read_text(encoding="utf-8"))
        assert record["key"] == place.name
        assert set(record["files"]) == {p.name for p in place.iterdir()} - {"record.json"}
    return folders


def test_what_is_built_is_published_and_runs(folder: Path, device: pytest.MonkeyPatch) -> None:
    done = result(folder)
    assert (done["engine"], done["outcome"], done["fallen"]) == ("tensorrt", "built", [])
    (place,) = published(folder)
    assert str(place) == done["folder"]
    record = done["record"]
    assert set(record["files"]) == PLANS | {"build.log"}
    assert record["platform"] == {
        "tensorrt": "10.3.0",
        "gpu": "Orin (sm_87, 8 multiprocessors)",
        "cuda": "12.6",
        "cuda of the driver": "12.6",
    }
    cases = {case.name for case in Bundle.open(folder).manifest.golden.cases}
    assert {row["case"] for row in record["parity"]} == cases
    assert "building step" in (place / "build.log").read_text(encoding="utf-8")
    estimate = Conversation(Bundle.open(folder)).turn("Ann", "i am happy")
    assert estimate.engine == "tensorrt-gpu"
    assert estimate.engine_reason == "first choice of target cpu"
    assert result(folder)["outcome"] == "kept"


def test_kernels_that_were_timed_once_are_not_timed_again(
    folder: Path, device: pytest.MonkeyPatch
) -> None:
    result(folder)
    timings = folder / "cache" / "kept" / "tensorrt.timings"
    assert json.loads(timings.read_text(encoding="utf-8"))["known"] == [
        "text",
        "step",
        "audio",
        "face",
    ]
    (place,) = published(folder)
    shutil.rmtree(place)
    result(folder)
    assert len(json.loads(timings.read_text(encoding="utf-8"))["known"]) == 8
    device.setenv("DCET_FAKE_GPU", "Thor")  # whose timings are others
    result(folder)
    assert len(json.loads(timings.read_text(encoding="utf-8"))["known"]) == 4
    device.setenv("DCET_FAKE_GPU", "H100")
    timings.write_text("no timings", encoding="utf-8")
    assert result(folder)["outcome"] == "built"


def test_an_engine_that_builds_nothing_is_checked_and_recorded(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny.dcet", as_zip=False)
    done = result(bundle)
    assert (done["engine"], done["outcome"], done["fallen"]) == ("onnxruntime", "checked", [])
    assert set(done["record"]["files"]) == {"build.log"}
    assert Conversation(Bundle.open(bundle)).turn("Ann", "i am happy").engine == "onnxruntime-cpu"


@pytest.mark.parametrize(
    ("fault", "outcome", "says"),
    [
        ("refuse", "failed", "TensorRT 10.3.0 cannot read it: In node 3"),
        ("fail", "failed", "TensorRT 10.3.0 cannot build it: building text"),
        ("full disk", "failed", "File too large"),
        ("crash", "crashed", "it crashed with SIGABRT"),
        ("crash at load", "crashed", "it crashed with SIGABRT"),
        ("exhausted", "killed", "SIGKILL, as the system does when memory runs out"),
        ("hang", "hung", "it was not done after 15 s"),
        ("wrong", "wrong", "golden sequence 'plain': expected at most 0.0001 from torch, got"),
    ],
)
def test_a_builder_that_misbehaves_is_set_aside_and_the_next_engine_taken(
    folder: Path, device: pytest.MonkeyPatch, fault: str, outcome: str, says: str
) -> None:
    device.setenv("DCET_FAKE_TENSORRT", fault)
    done = result(folder, "--timeout-s", 15 if fault == "hang" else 120)
    assert done["engine"] == "onnxruntime"
    (fallen,) = done["fallen"]
    assert fallen["engine"] == "tensorrt"
    assert fallen["outcome"] == outcome
    assert says in fallen["message"]
    (aside,) = (folder / "cache" / "quarantine").iterdir()
    assert str(aside) == fallen["quarantine"]
    assert aside.name.endswith(f"-{outcome}")
    kept = {"build.log", "failure.json"} | (PLANS if outcome == "wrong" else set())
    assert {path.name for path in aside.iterdir()} == kept
    assert "text" in (aside / "build.log").read_text(encoding="utf-8")
    assert [
        json.loads((p / "record.json").read_text(encoding="utf-8"))["engine"]
        for p in published(folder)
    ] == ["onnxruntime"]

    estimate = Conversation(Bundle.open(folder)).turn("Ann", "i am happy")
    assert estimate.engine == "onnxruntime-cpu"
    assert estimate.engine_reason.startswith("choice 2 of 2 of target cpu; tensorrt: dcet-finalize")
    assert says in estimate.engine_reason

    device.delenv("DCET_FAKE_TENSORRT")
    assert result(folder)["outcome"] == "built"
    assert Conversation(Bundle.open(folder)).turn("Ann", "i am happy").engine == "tensorrt-gpu"


@pytest.mark.parametrize("option", ["--strict", "--engine=tensorrt"])
def test_strict_refuses_to_fall(folder: Path, device: pytest.MonkeyPatch, option: str) -> None:
    device.setenv("DCET_FAKE_TENSORRT", "crash")
    line = message(folder, option)
    assert "tensorrt: crashed: it crashed with SIGABRT (see " in line
    assert f"leave {option.partition('=')[0]} out to try" in line
    assert published(folder) == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "DCET_FAKE_TENSORRT",
            "no library",
            "installed, but does not load: libnvinfer",
        ),
        ("DCET_FAKE_TENSORRT_VERSION", "8.6.1", "expected TensorRT 10 or later, got 8.6.1"),
        ("DCET_FAKE_CUDA", "no device", "cudaGetDeviceProperties failed: cudaErrorNoDevice"),
    ],
)
def test_an_engine_that_cannot_work_here_is_passed_over_and_not_blamed(
    folder: Path, device: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    device.setenv(name, value)
    done = result(folder)
    (fallen,) = done["fallen"]
    assert (done["engine"], fallen["outcome"], fallen["quarantine"]) == (
        "onnxruntime",
        "missing",
        None,
    )
    assert says in fallen["message"]


def test_a_device_without_memory_is_named(folder: Path, device: pytest.MonkeyPatch) -> None:
    device.setenv("DCET_FAKE_CUDA", "out of memory")
    done = result(folder)
    assert done["engine"] == "onnxruntime"
    assert "the CUDA device is out of memory" in done["fallen"][0]["message"]


def test_states_that_cannot_stay_on_the_device_are_seen(
    folder: Path, device: pytest.MonkeyPatch
) -> None:
    device.setenv("DCET_FAKE_CUDA", "no copies")
    done = result(folder)
    assert done["engine"] == "onnxruntime"
    (fallen,) = done["fallen"]
    assert (fallen["outcome"], "cudaMemcpyAsync failed" in fallen["message"]) == ("failed", True)


@pytest.mark.usefixtures("device")
def test_what_works_is_not_given_up_for_a_run_that_was_cut_short(folder: Path) -> None:
    result(folder)
    assert "tensorrt: hung: it was not done after 0.01 s" in message(folder, "--timeout-s", 0.01)
    assert Conversation(Bundle.open(folder)).turn("Ann", "i am happy").engine == "tensorrt-gpu"


@pytest.mark.parametrize("outcome", [Outcome.HUNG, Outcome.KILLED])
@pytest.mark.parametrize("key", [None, "its own"])
def test_a_run_cut_short_says_nothing_against_an_engine_that_needs_no_building(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, key: str | None
) -> None:
    """Neither now, nor where an earlier version set it aside."""
    path = write_tiny_bundle(tmp_path / "tiny.dcet", as_zip=False)
    bundle = Bundle.open(path)
    own = cache_key(bundle, "onnxruntime", ENGINES["onnxruntime"].platform())

    def cut_short(*arguments: object) -> Attempt:
        return Attempt(outcome=outcome, message="it had no luck", key=own if key else None)

    monkeypatch.setattr(fallback, "try_engine", cut_short)
    assert f"onnxruntime: {outcome}: it had no luck; try them again with: dcet-" in message(path)
    assert not (path / "cache" / "quarantine").exists()
    for known in (own, cache_key(bundle, "onnxruntime", UNKNOWN_PLATFORM)):
        aside = path / "cache" / "quarantine" / f"{known}-{outcome}"
        aside.mkdir(parents=True)
        (aside / "failure.json").write_text('{"message": "it had no luck"}', encoding="utf-8")
    assert Conversation(Bundle.open(path)).turn("Ann", "i am happy").engine == "onnxruntime-cpu"


def test_a_timeout_names_its_cure(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "tiny.dcet", as_zip=False)
    line = message(path, "--timeout-s", 0.01)
    assert "onnxruntime: hung: it was not done after 0.01 s; allow more with --timeout-s" in line
    assert Conversation(Bundle.open(path)).turn("Ann", "i am happy").engine == "onnxruntime-cpu"


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_timeout_that_is_none(folder: Path, timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="timeout_s: expected more than 0 and at most 604,800 s"):
        fallback.finalize(folder, timeout_s=timeout_s)
    assert finalize(folder, "--timeout-s", timeout_s).exit_code == 2
    assert not (folder / "cache").exists()


@pytest.mark.parametrize("error", [MemoryError(), EngineError("std::bad_alloc")])
def test_an_engine_that_finds_no_memory_is_not_called_broken(error: Exception) -> None:
    assert ran_out_of_memory(error)
    assert not ran_out_of_memory(EngineError("expected finite estimates"))


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("cache", "cache: expected only the files that manifest.json lists; remove it"),
        ("cache/kept", "kept'. Nothing was published; free some space, or remove what is in the"),
        ("cache/lock", None),  # then the user's cache is taken
        ("cache/quarantine", None),
    ],
)
def test_a_file_where_a_folder_belongs_is_no_traceback(
    folder: Path, device: pytest.MonkeyPatch, place: str, says: str | None
) -> None:
    device.setenv("DCET_FAKE_TENSORRT", "crash")
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).mkdir() if place == "cache/lock" else (folder / place).write_text(
        "", encoding="utf-8"
    )
    if says is None:
        assert result(folder)["engine"] == "onnxruntime"
        assert Bundle.open(folder).engine().name == "onnxruntime-cpu"
    else:
        assert says in message(folder)


def test_each_engine_that_is_built_has_a_builder() -> None:
    for name, factory in ENGINES.items():
        if factory.is_built:
            assert callable(find_builder(name))
        else:
            with pytest.raises(ConfigError, match="expected one that is built"):
                find_builder(name)


def test_a_bundle_that_changes_meanwhile_is_verified_as_it_is_read(folder: Path) -> None:
    """Its hashes, which dcet-finalize checked, need not be checked again by every attempt."""
    whole = Bundle.open(folder)
    graph = folder / whole.manifest.graphs["text"].file
    graph.write_bytes(graph.read_bytes()[::-1])
    assert Bundle.open(folder, verified=whole.sha256).read(whole.manifest.tokenizer.file)
    with pytest.raises(BundleHashMismatch):
        Bundle.open(folder, verified=whole.sha256).engine("onnxruntime")
    with pytest.raises(BundleHashMismatch):
        Bundle.open(folder, verified="of another")


def test_an_engine_that_raises_anything_is_passed_over(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_tiny_bundle(tmp_path / "t.dcet", engines=("openvino", "onnxruntime"))
    monkeypatch.setattr("openvino.Core", lambda: 1 / 0)
    engine = Bundle.open(path).engine()
    assert engine.name == "onnxruntime-cpu"
    assert "openvino: ZeroDivisionError: division by zero" in engine.reason


def test_when_every_engine_is_wrong_none_is_taken(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny.dcet", as_zip=False)
    expected = bundle / "golden" / "expected.npz"
    change_probabilities(bundle, expected)
    line = message(bundle)
    assert "expected any of its engines to work on this device, got: onnxruntime: wrong:" in line
    with pytest.raises(EngineError, match="dcet-finalize tried it here and gave it up"):
        Conversation(Bundle.open(bundle))
    assert Conversation(Bundle.open(bundle), "onnxruntime").turn("Ann", "so sad").turn == 1


def change_probabilities(bundle: Path, expected: Path) -> None:
    import hashlib

    import numpy as np

    with np.load(expected) as arrays:
        changed = {
            name: array[..., ::-1] if name.endswith("/probabilities") else array
            for name, array in arrays.items()
        }
    np.savez(expected, **changed)
    data = expected.read_bytes()
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    row = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    manifest["files"]["golden/expected.npz"] = row
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_an_unknown_engine_is_an_error(folder: Path) -> None:
    assert "got 'tensorrt-lite'" in message(folder, "--engine", "tensorrt-lite")


def test_an_engine_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "t.dcet", engines=("warp", "onnxruntime"), as_zip=False)
    (fallen,) = result(bundle)["fallen"]
    assert (fallen["engine"], fallen["outcome"]) == ("warp", "missing")


@pytest.mark.parametrize(
    ("name", "value", "gpu"),
    [
        ("DCET_FAKE_GPU", "Thor", "Thor (sm_87, 8 multiprocessors)"),
        ("DCET_FAKE_MULTIPROCESSORS", "16", "Orin (sm_87, 16 multiprocessors)"),
    ],
)
def test_an_engine_of_another_device_is_not_loaded_but_built_again(
    folder: Path, device: pytest.MonkeyPatch, name: str, value: str, gpu: str
) -> None:
    first = result(folder)["folder"]
    device.setenv(name, value)
    estimate = Conversation(Bundle.open(folder)).turn("Ann", "i am happy")
    assert estimate.engine == "onnxruntime-cpu"
    built_for = f"it was built for gpu Orin (sm_87, 8 multiprocessors), here {gpu}"
    assert built_for in estimate.engine_reason
    second = result(folder)
    assert second["outcome"] == "built"
    assert second["folder"] != first
    assert Conversation(Bundle.open(folder)).turn("Ann", "i am happy").engine == "tensorrt-gpu"


def test_an_engine_of_another_tensorrt_is_not_loaded(
    folder: Path, device: pytest.MonkeyPatch
) -> None:
    result(folder)
    device.setenv("DCET_FAKE_TENSORRT_VERSION", "11.0.0")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from dcet.runtime import *; Bundle.open({str(folder)!r}).engine('tensorrt')",
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "it was built for tensorrt 10.3.0, here 11.0.0; build it for this" in done.stderr
    assert result(folder)["outcome"] == "built"


def test_a_damaged_plan_is_set_aside_and_built_again(
    folder: Path, device: pytest.MonkeyPatch
) -> None:
    (place,) = [Path(result(folder)["folder"])]
    plan = bytearray((place / "step.plan").read_bytes())
    plan[-1] ^= 1
    (place / "step.plan").write_bytes(plan)
    reason = Bundle.open(folder).engine().reason
    assert "step.plan: expected the file that dcet-finalize wrote" in reason
    done = finalize(folder)
    assert done.exit_code == 0
    assert "step.plan: expected the file that dcet-finalize wrote" in done.stderr
    aside = folder / "cache" / "quarantine" / f"{place.name}-damaged"
    assert (aside / "step.plan").read_bytes() == plan
    assert Bundle.open(folder).engine().name == "tensorrt-gpu"


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format": 1, "files": {}}'])
def test_a_record_that_cannot_be_read_is_built_again(
    folder: Path, device: pytest.MonkeyPatch, text: str
) -> None:
    place = Path(result(folder)["folder"])
    (place / "record.json").write_text(text, encoding="utf-8")
    assert "expected a record of dcet-finalize" in Bundle.open(folder).engine().reason
    assert result(folder)["outcome"] == "built"


def test_a_zip_is_finalised_in_the_users_cache(tmp_path: Path, device: pytest.MonkeyPatch) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny.dcet", engines=ORDER)
    before = bundle.read_bytes()
    place = Path(result(bundle)["folder"])
    assert place.is_relative_to(tmp_path / "home" / "dcet")
    assert bundle.read_bytes() == before
    assert Bundle.open(bundle).engine().name == "tensorrt-gpu"


def test_a_bundle_that_cannot_be_written_is_finalised_in_the_users_cache(
    folder: Path, device: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def read_only(cache: Path, notify: Callable[[str], None]) -> Any:
        if cache.is_relative_to(folder):
            raise OSError(30, "Read-only file system")
        return locked(cache, notify)

    device.setattr(fallback, "locked", read_only)
    assert Path(result(folder)["folder"]).is_relative_to(tmp_path / "home" / "dcet")
    assert not (folder / "cache").exists()
    assert Bundle.open(folder).engine().name == "tensorrt-gpu"

    device.setattr(fallback, "locked", lambda cache, notify: read_only(folder, notify))
    line = message(folder)
    assert "expected a folder to keep what is built, got:" in line
    assert "Read-only file system; set XDG_CACHE_HOME to one that can be written" in line


def test_a_full_disk_publishes_nothing(folder: Path, device: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    device.setattr(fallback, "_flush", full)
    line = message(folder)
    assert "could not write in" in line
    assert "No space left on device. Nothing was published; free some space" in line
    assert published(folder) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from dcet.finalize import cli
from dcet.finalize import fallback
from dcet.finalize.attempt import Attempt
from dcet.finalize.builders import find_builder

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

step = sys.argv.pop(1)
if step == "rename":
    Path.rename = die
elif step == "last flush":
    flush = fallback._flush
    fallback._flush = lambda path: die() if path.name == "cache" else flush(path)
else:
    setattr(fallback, step, die)
cli.main()
"""


@pytest.mark.parametrize("step", ["try_engine", "hash_file", "write_json", "rename", "last flush"])
def test_killed_at_any_step_it_leaves_all_or_nothing(
    folder: Path, device: pytest.MonkeyPatch, step: str
) -> None:
    command = [sys.executable, "-c", KILLED, step, str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    bundle = Bundle.open(folder)
    is_published = step == "last flush"
    assert bundle.engine().name == ("tensorrt-gpu" if is_published else "onnxruntime-cpu")
    assert result(folder)["outcome"] == ("kept" if is_published else "built")
    assert len(published(folder)) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ended_while_it_builds_it_takes_the_builder_along(
    folder: Path, device: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    device.setenv("DCET_FAKE_TENSORRT", "hang")
    # A shell lets what it starts in the background ignore interrupts, and so it goes on to us.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from dcet.finalize.cli import main; main()"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        builder = int(await_text(tmp_path / "marker"))
        process.send_signal(number)
        process.wait(timeout=60)
    assert gone(builder)
    assert Bundle.open(folder).engine().name == "onnxruntime-cpu"
    device.delenv("DCET_FAKE_TENSORRT")
    assert result(folder)["outcome"] == "built"  # the lock is free again
    assert len(published(folder)) == 1


def await_text(path: Path) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if path.exists() and (text := path.read_text(encoding="utf-8")):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} is not there")


def gone(pid: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = (
                Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            )
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_second_one_waits_and_says_for_whom(folder: Path, device: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "dcet.finalize.cli", str(folder)]
    with locked(folder / "cache", lambda said: None):
        second = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        assert second.stderr is not None
        said = second.stderr.readline()
        assert said == f"process {os.getpid()} finalises this bundle; waiting for it\n"
        assert second.poll() is None
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 0, errors
    assert len(published(folder)) == 1
    assert (folder / "cache" / LOCK).read_text(encoding="utf-8") == ""


def test_the_cache_is_no_part_of_the_bundle_but_links_are_refused(
    folder: Path, device: pytest.MonkeyPatch
) -> None:
    (folder / "cache").mkdir()
    (folder / "cache" / "notes.txt").write_text("made here", encoding="utf-8")
    Bundle.open(folder)
    (folder / "cache" / "away").symlink_to("/etc/passwd")
    with pytest.raises(BundlePathOutside, match="away: expected a regular file, got a link"):
        Bundle.open(folder)


def test_people_are_told_what_runs_and_what_does_not(
    folder: Path, device: pytest.MonkeyPatch
) -> None:
    device.setenv("DCET_FAKE_TENSORRT", "fail")
    done = finalize(folder)
    assert done.exit_code == 0
    assert f"{folder}: onnxruntime runs it on this device (nothing to build)" in done.stdout
    assert "passed over tensorrt: failed: graphs/text.fp32.onnx: TensorRT 10.3.0" in done.stdout
    assert finalize("--help").output.partition("Example:")[2].strip().startswith("dcet-finalize")
