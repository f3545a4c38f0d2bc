"""The web host's packages, and a bundle to play in it; skipped where something is not installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

import dcet.quantization.fp16
from dcet.export.budget import write_limited
from dcet.export.exporter import Exporter
from dcet.runtime import Bundle
from dcet.targets import load_target
from tests.tiny_training import one_thread, untrained, with_senses, write_bert

__all__ = ["one_thread"]  # a fixture: pytest finds it by its name here

WEB = Path(__file__).parents[2] / "web"


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the packages of web/package-lock.json."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs Node.js 20 or newer with npm; on Debian: apt-get install nodejs npm")
    installed, locked = WEB / "node_modules/.package-lock.json", WEB / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        ran = subprocess.run(command, cwd=WEB, capture_output=True, encoding="utf-8", check=False)
        if ran.returncode:
            pytest.skip(f"needs the packages of web/; run `npm ci` there: {ran.stderr[-500:]}")
    return node


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")
    return found


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model with random weights, exported for the web; it hears two windows a turn, not four."""
    folder = tmp_path_factory.mktemp("web")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dcet.quantization.fp16, "MIN_ELEMENTS", 64)  # these weights are tiny
        checkpoint = with_senses(untrained(write_bert(folder / "bert")))
        Exporter(checkpoint, "tiny").write_verified(load_target("web"), folder / "tiny.dcet")
    limited = Bundle.open(folder / "tiny.dcet").limited({"audio": 2})
    write_limited(limited, 50, folder / "limited.dcet")
    return Bundle.open(folder / "limited.dcet")
