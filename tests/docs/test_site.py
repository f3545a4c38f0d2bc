"""The documentation site builds, and no page, link or name in it is missing."""

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    built = subprocess.run(command, cwd=REPO, capture_output=True, encoding="utf-8", check=False)
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "site" / "reference" / "runtime" / "index.html").read_text(
        encoding="utf-8"
    )
    for name in ("Bundle", "Conversation", "Estimate", "Trajectory", "Features", "FaceFinder"):
        assert f'id="dcet.runtime.{name}"' in reference
    commands = (tmp_path / "site" / "reference" / "commands" / "index.html").read_text(
        encoding="utf-8"
    )
    assert "<pre><code>dcet-finalize companion.dcet</code></pre>" in commands
    assert "Sentinel" not in commands
