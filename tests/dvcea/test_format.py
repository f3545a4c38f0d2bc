"""The format of DVCEA: what is written is read, and what is broken is named."""

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator

from dcet.data.dvcea import Dvcea, DvceaUtterance
from dcet.data.dvcea_manifest import (
    DvceaError,
    DvceaHashMismatch,
    DvceaManifestError,
    DvceaNotFound,
    DvceaSchemaTooNew,
    DvceaShapeMismatch,
    DvceaTruncated,
)
from dcet.dvcea.hub_dataset import as_datasets
from dcet.dvcea.writer import write_dvcea
from dcet.training.corpora.dvcea import NOT_LABELLED, TorchDvcea, shorten
from tests.tiny_dvcea import ABOUT, WIDTHS, utterances, write_tiny

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("dvcea") / "tiny.dvcea")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


def fields(utterance: DvceaUtterance) -> dict[str, Any]:
    return {
        field.name: value.tolist() if isinstance(value, np.ndarray) else value
        for field in dataclasses.fields(utterance)
        for value in [getattr(utterance, field.name)]
    }


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8"
    )


def test_the_manifest_obeys_the_schema(folder: Path) -> None:
    schema = json.loads((REPO / "docs" / "dvcea.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(manifest)
    dev = manifest["counts"]["splits"]["dev"]
    assert (dev["utterances"], dev["dialogues"]) == (12, 3)
    assert sum(dev["emotions"].values()) == 12
    assert manifest["counts"]["set_aside"] == 1


def test_what_is_written_is_read(folder: Path) -> None:
    dvcea = Dvcea.open(folder)
    written = sorted(utterances(48), key=lambda said: said.split != "train")
    assert len(dvcea) == 48
    for read, expected in zip(dvcea, written, strict=True):
        assert fields(read) == fields(expected)
    assert dvcea.splits == ("train", "dev")
    assert [said.dialogue for said in dvcea.split("dev").dialogues[1]] == ["7"] * 4
    assert dvcea.split("dev").column("speaker") == ["a", "b"] * 6
    dvcea.verify()
    with pytest.raises(KeyError, match="expected one of train, dev"):
        dvcea.split("test")


def test_features_are_views_of_the_file(folder: Path) -> None:
    one, again = Dvcea.open(folder)[0], Dvcea.open(folder)
    assert one.visual is not None
    assert not one.visual.flags.owndata
    assert np.shares_memory(again[0].visual, again[0:2][0].visual)


def test_what_is_missing_is_none_and_masked(folder: Path) -> None:
    dvcea = Dvcea.open(folder)
    place = dvcea.counts("visual").tolist().index(0)
    assert (dvcea[place].visual, dvcea[place].visual_us, dvcea[place].track) == (None,) * 3
    for tensors in (TorchDvcea(dvcea)[i] for i in range(len(dvcea.dialogues))):
        there = tensors.modality_mask.bool()
        assert torch.equal(there[:, 2], tensors.visual_mask.any(dim=1))
        assert torch.equal(there[:, 2], tensors.visual.abs().sum(dim=(1, 2)) > 0)


def test_a_dataset_of_torch_holds_dialogues_in_order(folder: Path) -> None:
    dvcea = Dvcea.open(folder)
    made = TorchDvcea(dvcea.split("train"), lengths={"visual": 3, "audio": 9})
    assert len(made) == 9
    tensors = made[0]
    assert tensors.visual.shape == (4, 3, WIDTHS["visual"])
    assert tensors.speakers.tolist() == [1, 2, 1, 2]
    assert tensors.text[1].tolist() == fields(dvcea[1])["text_features"]
    unlabelled = dataclasses.replace(dvcea[0], emotion=None, sentiment=None)
    write_dvcea(folder.parent / "unlabelled", [unlabelled], ABOUT)
    (only,) = [TorchDvcea(Dvcea.open(folder.parent / "unlabelled"))[0]]
    assert only.emotion.tolist() == [NOT_LABELLED]
    assert only.sentiment.isnan().all()


def test_a_long_sequence_is_shortened_to_means() -> None:
    sequence = torch.arange(7.0)[:, None]
    assert shorten(sequence, 3).flatten().tolist() == [1, 3.5, 5.5]
    assert shorten(sequence, 7) is sequence


def test_a_dataset_of_datasets_reads_when_it_is_asked(folder: Path) -> None:
    pytest.importorskip("datasets")
    dvcea = Dvcea.open(folder)
    made = as_datasets(dvcea.split("dev")).shuffle(seed=1)
    assert len(made) == 12
    row = made[0]
    (same,) = [u for u in dvcea.split("dev") if u.text == row["text"]]
    np.testing.assert_array_equal(row["text_features"], same.text_features)


def test_the_same_utterances_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = write_tiny(tmp_path / "tiny.dvcea")
    for file in sorted(folder.iterdir()):
        assert (again / file.name).read_bytes() == file.read_bytes(), file.name


def test_half_the_bytes_are_enough_where_asked(tmp_path: Path) -> None:
    about = dataclasses.replace(ABOUT, dtype="float16")
    write_dvcea(tmp_path / "half", utterances(8), about)
    features = Dvcea.open(tmp_path / "half")[0].visual
    assert features is not None
    assert features.dtype == np.float16
    whole = next(utterances(8)).visual
    assert whole is not None
    np.testing.assert_allclose(features, whole, rtol=1e-3)


@pytest.mark.parametrize("name", ["visual.npy", "audio_us.npy", "text.npy", "index.parquet"])
@pytest.mark.parametrize("cut", [lambda data: data[:-4], lambda data: data + b"0000"])
def test_a_file_cut_short_is_named(copy: Path, name: str, cut: Callable[[bytes], bytes]) -> None:
    (copy / name).write_bytes(cut((copy / name).read_bytes()))
    with pytest.raises(DvceaTruncated, match=f"{name}: expected .* bytes, got"):
        Dvcea.open(copy)


def test_another_schema_is_named(copy: Path) -> None:
    change_manifest(copy, schema_version="2.0")
    with pytest.raises(DvceaSchemaTooNew, match=r"schema_version is 2\.0, .* reads up to 1\.0"):
        Dvcea.open(copy)
    change_manifest(copy, schema_version="1.9", news=[1])
    assert len(Dvcea.open(copy)) == 48
    change_manifest(copy, schema_version=1)
    with pytest.raises(DvceaManifestError, match="expected MAJOR"):
        Dvcea.open(copy)


def test_what_the_manifest_lacks_is_named(copy: Path) -> None:
    changes: list[dict[str, Any]] = [{"dtype": "int8"}, {"dtype": "float16"}]
    for change in (*changes, {"arrays": {}}, {"files": {}}):
        whole = (copy / "manifest.json").read_text(encoding="utf-8")
        change_manifest(copy, **change)
        with pytest.raises((DvceaManifestError, DvceaShapeMismatch), match=copy.name):
            Dvcea.open(copy)
        (copy / "manifest.json").write_text(whole, encoding="utf-8")
    (copy / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(DvceaManifestError, match="cannot be read as JSON"):
        Dvcea.open(copy)
    with pytest.raises(DvceaNotFound, match="expected a folder"):
        Dvcea.open(copy / "nothing")


def test_an_index_of_another_set_is_named(copy: Path, tmp_path: Path) -> None:
    other = write_tiny(tmp_path / "other", 16)
    for name in ("index.parquet", "visual.npy"):
        data = (other / name).read_bytes()
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(data)
        files = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))["files"]
        files[name]["size_bytes"] = len(data)
        change_manifest(copy, files=files)
        with pytest.raises(DvceaShapeMismatch, match=name):
            Dvcea.open(copy)
        (copy / name).write_bytes(whole)
        files[name]["size_bytes"] = len(whole)
        change_manifest(copy, files=files)


def test_a_changed_byte_is_found_by_verify(copy: Path) -> None:
    data = bytearray((copy / "visual.npy").read_bytes())
    data[-1] ^= 1
    (copy / "visual.npy").write_bytes(data)
    with pytest.raises(DvceaHashMismatch, match="visual"):
        Dvcea.open(copy).verify()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"visual": np.zeros((0, 6), np.float32), "visual_us": np.zeros(0)}, "of at least 1"),
        ({"visual": np.zeros((8, 5), np.float32)}, "expected features of shape"),
        ({"visual": np.full((8, 6), np.nan, np.float32)}, "expected finite"),
        ({"visual_us": np.zeros(8, np.int64)}, "increasing times"),
        ({"audio_us": None}, "increasing times"),
        ({"utterance": 1}, "above 1"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    made = [*utterances(2)]
    made.append(dataclasses.replace([*utterances(3)][2], **changes))
    with pytest.raises(DvceaError, match=words):
        write_dvcea(tmp_path / "set", made, ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_a_dialogue_is_in_one_piece(tmp_path: Path) -> None:
    first, *_, last = utterances(5)
    again = dataclasses.replace(first, utterance=9)
    with pytest.raises(DvceaError, match="next to each other"):
        write_dvcea(tmp_path / "set", [first, last, again], ABOUT)


def test_ten_thousand_utterances_open_at_once(tmp_path: Path) -> None:
    write_dvcea(tmp_path / "large", utterances(10_000, items=2), ABOUT)
    Dvcea.open(tmp_path / "large")
    took_s = []
    for _ in range(5):
        begun = time.perf_counter()
        assert len(Dvcea.open(tmp_path / "large")) == 10_000
        took_s.append(time.perf_counter() - begun)
    assert min(took_s) < 0.2
