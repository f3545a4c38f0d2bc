"""The manifest's three descriptions agree: the dataclasses, the JSON schema and what is written."""

import json
import zipfile
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dcet.runtime import Bundle
from dcet.runtime.bundle.checks import check_manifest
from dcet.runtime.bundle.container import check_name
from dcet.runtime.bundle.manifest import Manifest
from dcet.runtime.errors import BundlePathOutside

SCHEMA = Path(__file__).parents[2] / "docs" / "bundle.schema.json"


@pytest.fixture(scope="session")
def schema() -> Any:
    found = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(found)
    return found


@pytest.fixture(params=["tiny", "tiny_openvino"])
def manifest(request: pytest.FixtureRequest) -> Any:
    """Read a manifest as JSON."""
    with zipfile.ZipFile(request.getfixturevalue(request.param)) as archive:
        return json.loads(archive.read("manifest.json"))


def test_the_schema_accepts_what_is_written(schema: Any, manifest: Any) -> None:
    Draft202012Validator(schema).validate(manifest)


def test_reading_and_writing_gives_the_same_manifest(schema: Any, manifest: Any) -> None:
    read = Manifest.from_json(manifest)
    written = json.loads(json.dumps(read.to_json()))
    assert Manifest.from_json(written) == read
    Draft202012Validator(schema).validate(written)


def test_the_schema_asks_for_the_same_keys_as_the_dataclasses(schema: Any, manifest: Any) -> None:
    keys = {field.name: field.default is MISSING for field in fields(Manifest)}
    assert set(keys) == set(schema["properties"])
    assert set(Manifest.from_json(manifest).to_json()) <= set(schema["properties"])
    required = {key for key, is_required in keys.items() if is_required} | {"schema_version"}
    assert set(schema["required"]) == required


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["schema_version"], "2.0"),
        (["created"], "yesterday"),
        (["engines"], []),
        (["labels", 0], "love"),
        (["graphs", "step", "file"], "../step.onnx"),
        (["graphs", "step", "inputs", 0, "dtype"], "int64"),
        (["state", 0, "per"], "room"),
        (["state", 0, "graph"], 1),
        (["modalities", "face", "length"], 0),
        (["modalities", "audio", "window_samples"], 0),
        (["checkpoint_sha256"], "abc"),
        (["files", "MODEL_CARD.md", "size_bytes"], -1),
    ],
)
def test_the_schema_refuses(schema: Any, manifest: Any, place: list[Any], value: Any) -> None:
    *way, last = place
    owner = manifest
    for key in way:
        owner = owner[key]
    owner[last] = value
    assert not Draft202012Validator(schema).is_valid(manifest)


@pytest.mark.parametrize("key", ["file", "max_tokens"])
def test_the_schema_misses_what_is_missing(schema: Any, manifest: Any, key: str) -> None:
    del manifest["tokenizer"][key]
    assert not Draft202012Validator(schema).is_valid(manifest)


@pytest.mark.parametrize(
    "name",
    [*"a a/b.c x..y ..a .a/b a/b:c .. ../a a/../b /a a//b C:/x a\\b a/ ./a a/.".split(), ""],
)
def test_schema_and_reader_agree_on_paths(schema: Any, name: str) -> None:
    path = Draft202012Validator({**schema["$defs"]["path"], "$defs": schema["$defs"]})
    try:
        check_name(name, "here")
    except BundlePathOutside:
        assert not path.is_valid(name)
    else:
        assert path.is_valid(name)


def test_the_order_of_modalities_is_not_that_of_the_json(manifest: Any) -> None:
    manifest["modalities"] = dict(reversed(manifest["modalities"].items()))
    check_manifest(Manifest.from_json(manifest))


def test_a_directory_is_the_same_bundle_as_its_zip(tiny: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tiny) as archive:
        archive.extractall(tmp_path)
    folder, whole = Bundle.open(tmp_path), Bundle.open(tiny)
    assert folder.manifest == whole.manifest
    assert folder.sha256 == whole.sha256
    assert all(folder.read(name) == whole.read(name) for name in whole.manifest.files)


def test_directories_in_a_zip_are_ignored(tiny: Path, tmp_path: Path) -> None:
    """Most zip tools write them."""
    path = tmp_path / "with-folders.dcet"
    path.write_bytes(tiny.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.mkdir("graphs")
    assert Bundle.open(path).manifest.name == "tiny"
