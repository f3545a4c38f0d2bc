"""The wheel in an empty environment, used in an empty folder, far from the checkout."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_readme import CODE

REPO = Path(__file__).parents[1]
PACKAGES = ("runtime", "targets", "quantization", "training", "export", "benchmarks")
BASE = {"click", "numpy", "onnxruntime", "rich", "tokenizers"}
UNREACHABLE = re.compile(r"No matching distribution found|Failed to establish|ConnectionError")
Environment = tuple[Path, Path]  # folder of programs, empty working folder


def pip(*arguments: str | Path) -> None:
    """Skips, saying so, where there is no registry within reach."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip(f"pip reaches no registry: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", folder, REPO)
    (file,) = folder.glob("dcet-*.whl")
    return file


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip("--python", programs / "python", "install", wheel)
    empty = folder / "empty"
    empty.mkdir()
    return programs, empty


def run(environment: Environment, program: str, *arguments: str) -> str:
    """Run a program of the environment in the empty folder, without a home; return its output."""
    programs, empty = environment
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "SYSTEMROOT")}
    done = subprocess.run(
        [programs / program, *arguments],
        cwd=empty,
        env={**kept, "HOME": str(empty.parent), "LANG": "C.UTF-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    """Texts, tables, styles and the shipped bundle, too."""
    roots = [f"{package}/dcet" for package in PACKAGES]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *roots], cwd=REPO, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a checkout of git, which knows the files")
    tracked = {name.partition("/")[2] for name in filter(None, listed.stdout.decode().split("\0"))}
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == tracked
    assert "dcet/runtime/models/default.dcet" in inside


def test_an_index_takes_it(wheel: Path) -> None:
    """PyPI takes files of up to 100 MiB."""
    assert wheel.stat().st_size <= 100 * 2**20


def test_it_brings_no_more_than_a_device_needs(environment: Environment) -> None:
    """Neither torch nor onnx, and whatever the five base packages need themselves."""
    code = "from importlib.metadata import requires; print(*requires('dcet'), sep='\\n')"
    needed = run(environment, "python", "-c", code).splitlines()
    base = {re.split(r"[^\w-]", line)[0] for line in needed if "extra ==" not in line}
    assert base == BASE


def test_the_code_of_the_readme_runs(environment: Environment) -> None:
    printed = run(environment, "python", "-c", CODE[0])
    assert printed.startswith("joy ")


def test_dcet_bench_runs(environment: Environment) -> None:
    quick = "latency --turns 20 --growth-turns 100 --size-turns 40 --speakers 5"
    printed = run(environment, "dcet-bench", *quick.split())
    assert "default.dcet" in printed
    assert "promises" in printed
    assert list(environment[1].iterdir()) == []  # and leaves nothing behind
