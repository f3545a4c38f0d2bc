"""The script that compares two bundles: it finds what differs, and nothing else."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compare_bundles import differences
from tests.tiny_bundle import write_tiny_bundle

Files = dict[str, bytes]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "one.dcet")


def changed(bundle: Path, change: Callable[[dict[str, Any], Files], None]) -> Path:
    """A copy of the bundle whose manifest and files `change` has changed."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    change(manifest, files)
    copy = bundle.with_name("other.dcet")
    with zipfile.ZipFile(copy, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in files.items():
            archive.writestr(name, data)
    return copy


def test_when_and_with_what_it_was_made_may_differ(bundle: Path) -> None:
    def change(manifest: dict[str, Any], files: Files) -> None:
        manifest["created"] = "2001-01-01T00:00:00Z"
        manifest["toolchain"] = {"torch": "0.1"}

    assert list(differences(bundle, changed(bundle, change))) == []


def test_every_difference_is_named(bundle: Path) -> None:
    def change(manifest: dict[str, Any], files: Files) -> None:
        manifest["version"] = "0.0.0"
        manifest["labels"][2] = "glee"
        del manifest["golden"]["expected"]
        manifest["speaker_input"] = 1
        files["tokenizer.json"] += b" "
        files["new.txt"] = b"12"

    found = list(differences(bundle, changed(bundle, change)))
    begins = [line.split(":")[0] for line in found]
    assert begins == [
        "manifest.json.version",
        "manifest.json.labels[2]",
        "manifest.json.speaker_input",
        "manifest.json.golden.expected",
        "new.txt",
        "tokenizer.json",
    ]
    assert "(absent) and 2 bytes" in found[-2]


def test_one_bit_of_a_graph_is_a_difference(bundle: Path) -> None:
    def change(manifest: dict[str, Any], files: Files) -> None:
        name = next(name for name in files if name.endswith(".onnx"))
        files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])

    (found,) = differences(bundle, changed(bundle, change))
    assert found.startswith("graphs/")


@pytest.mark.parametrize(
    ("xml", "count"),
    [(b'<l name="Add_71"/><l name="Add_72" of="Add_71"/>', 0), (b'<l name="Add_1"/>', 1)],
    ids=["numbered otherwise", "another graph"],
)
def test_openvino_may_number_nodes_otherwise(bundle: Path, xml: bytes, count: int) -> None:
    ours = b'<l name="Add_4"/><l name="Add_5" of="Add_4"/>'
    one = changed(bundle, lambda manifest, files: files.update({"openvino/text.xml": ours}))
    one = one.rename(one.with_name("one.dcet"))
    other = changed(one, lambda manifest, files: files.update({"openvino/text.xml": xml}))
    assert len(list(differences(one, other))) == count


def test_exit_codes(bundle: Path) -> None:
    def run(*paths: Path) -> int:
        command = [sys.executable, "tests/compare_bundles.py", *map(str, paths)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    other = changed(bundle, lambda manifest, files: files.popitem() and None)
    assert (run(bundle, bundle), run(bundle, other)) == (0, 1)
    assert run(bundle, bundle.parent) == run(bundle) == 2
    assert run(bundle, Path(__file__)) == 2
