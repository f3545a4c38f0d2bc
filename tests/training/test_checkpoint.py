"""A checkpoint: what is saved is what is loaded, and a broken one is named."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from dcet.runtime.errors import ConfigError, WriteError
from dcet.runtime.files import atomic_folder
from dcet.training.cli import main
from dcet.training.saved import weights as weight_files
from dcet.training.saved.checkpoint import MAX_TOKENS, Checkpoint, CheckpointError, load, save
from dcet.training.saved.shipped import folder_of
from tests.tiny_training import VOCABULARY

FILES = {"config.json", "metrics.json", "model.safetensors", "tokenizer.json", "MODEL_CARD.md"}


@pytest.fixture
def folder(fresh: Checkpoint, tmp_path: Path) -> Path:
    save(tmp_path / "checkpoint", fresh)
    return tmp_path / "checkpoint"


def edit(path: Path, **changes: object) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(value | changes), encoding="utf-8")


def test_what_is_saved_is_what_is_loaded(fresh: Checkpoint, folder: Path) -> None:
    loaded = load(folder)
    saved = fresh.model.state_dict()
    assert loaded.model.state_dict().keys() == saved.keys()
    for name, value in loaded.model.state_dict().items():
        assert value.dtype == saved[name].dtype
        assert torch.equal(value, saved[name].half().to(value.dtype))
    assert loaded.tokenizer.to_str() == fresh.tokenizer.to_str()
    assert loaded.model.config == fresh.model.config
    for name in ("metrics", "trained", "licences", "card"):
        assert getattr(loaded, name) == getattr(fresh, name)
    assert not loaded.model.training


def test_saving_again_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "again", load(folder))
    for name in (*FILES, "encoder/config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_checkpoint_is_these_files_and_no_pickle(folder: Path) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == FILES | {"encoder/config.json"}
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}


def test_the_hash_is_of_the_weights(fresh: Checkpoint, folder: Path) -> None:
    before = load(folder).sha256
    assert len(before) == 64
    fresh.model.step.heads.calibration_bias.fill_(0.5)
    save(folder, fresh)
    assert load(folder).sha256 != before


def test_a_run_is_as_good_as_its_checkpoint(run: Path) -> None:
    assert load(run).sha256 == load(run / "checkpoint").sha256


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = folder / "model.safetensors"
    weights = safetensors.torch.load_file(file)
    change(weights)
    safetensors.torch.save_file(weights, file, metadata={"format": "pt"})


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_step(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    edit(path, step=json.loads(path.read_text(encoding="utf-8"))["step"] | changes)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing there": (shutil.rmtree, "not a checkpoint"),
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        r"No such file|model\.safetensors",
    ),
    "cut weights": (lambda f: truncate(f / "model.safetensors"), "not a checkpoint"),
    "cut config": (lambda f: truncate(f / "config.json"), "not a checkpoint"),
    "config is a list": (
        lambda f: (f / "config.json").write_text("[]", encoding="utf-8"),
        "not a checkpoint",
    ),
    "config is deep": (
        lambda f: (f / "config.json").write_text("[" * 99_999, encoding="utf-8"),
        "nested too deeply",
    ),
    "step of another type": (lambda f: change_step(f, width="wide"), "width: expected a whole"),
    "metrics are a list": (
        lambda f: (f / "metrics.json").write_text("[1]", encoding="utf-8"),
        r"metrics\.json: expected a JSON object, got \[1\]",
    ),
    "licences are a list": (lambda f: edit(f / "config.json", licences=["MIT"]), "licences: exp"),
    "no step": (
        lambda f: (f / "config.json").write_text('{"format": 4}', encoding="utf-8"),
        "'step'",
    ),
    "unknown step key": (lambda f: change_step(f, depth=3), "'depth'"),
    "heads do not divide": (lambda f: change_step(f, heads=3), "multiple of heads"),
    "no sentiment": (
        lambda f: change_weights(f, lambda weights: weights.pop("step.heads.sentiment.bias")),
        r"Missing key.*sentiment\.bias",
    ),
    "another width": (lambda f: change_step(f, width=32), "weights and config.json disagree"),
    "another format": (lambda f: edit(f / "config.json", format=9), "format 9, .* reads 4"),
    "no encoder": (lambda f: shutil.rmtree(f / "encoder"), "not a checkpoint"),
    "another encoder": (
        lambda f: edit(f / "encoder" / "config.json", hidden_size=48),
        "weights and config.json disagree",
    ),
    "unknown encoder": (
        lambda f: edit(f / "encoder" / "config.json", model_type="nonesuch"),
        "nonesuch",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json"),
    "broken tokenizer": (
        lambda f: (f / "tokenizer.json").write_text("{}", encoding="utf-8"),
        "not a checkpoint",
    ),
    "no card": (lambda f: (f / "MODEL_CARD.md").unlink(), r"MODEL_CARD\.md"),
    "undecodable card": (lambda f: (f / "MODEL_CARD.md").write_bytes(b"\xff"), "not a checkpoint"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_checkpoint_is_named(folder: Path, kind: str) -> None:
    spoil, message = BROKEN[kind]
    spoil(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)


def test_a_relative_path_is_never_looked_up_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`checkpoint/encoder` could also be the name of a model on the hub."""
    shutil.rmtree(folder / "encoder")
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load("checkpoint")


def test_a_full_disk_leaves_the_old_checkpoint(
    fresh: Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = load(folder).sha256
    fresh.model.step.heads.calibration_bias.fill_(0.5)
    monkeypatch.setattr(weight_files, "save_file", no_space)
    with pytest.raises(WriteError, match=r"could not write .*No space left.*Nothing was left"):
        save(folder, fresh)
    assert load(folder).sha256 == before
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoint"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "it", Path.rename
    folder.mkdir()
    (folder / "old").touch()

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(WriteError, match="Input/output error"), atomic_folder(folder) as new:
        (new / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def _fail(folder: Path) -> None:
    (folder / "half").touch()
    raise KeyError("something else")


def test_an_error_in_between_is_passed_on_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_folder(tmp_path / "it") as new:
        _fail(new)
    assert not list(tmp_path.iterdir())


def test_the_encoder_keeps_its_words(fresh: Checkpoint) -> None:
    assert fresh.tokenizer.get_vocab_size() == len(VOCABULARY)
    assert len(fresh.tokenizer.encode("so happy " * 200).ids) == MAX_TOKENS


def test_packed_weights_take_half_the_bytes_and_say_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    large = torch.nn.Linear(1024, 600)
    network = torch.nn.Sequential(large, torch.nn.Linear(600, 7))
    with torch.no_grad():
        large.weight[3] = 0  # a row of nothing has no scale
        large.weight[4] *= 1e-6
    half, packed = tmp_path / "half.safetensors", tmp_path / "packed.safetensors"
    weight_files.save_weights(network, half)
    weight_files.save_weights(network, packed, packed=True)
    assert packed.stat().st_size < 0.51 * half.stat().st_size
    read, true = weight_files.load_weights(packed), network.state_dict()
    assert read.keys() == true.keys()
    assert torch.equal(read["1.weight"], true["1.weight"].half().float())  # it is small
    rows, apart = true["0.weight"], (read["0.weight"] - true["0.weight"]).abs()
    assert (apart <= rows.abs().amax(dim=1, keepdim=True) / 253.9 + 1e-12).all()


def test_a_checkpoint_is_packed_from_the_command_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_files, "PACKED_FROM", 100)
    done = CliRunner().invoke(main, ["pack", str(folder), "--output", str(tmp_path / "packed")])
    assert done.exit_code == 0, done.output
    half, packed = load(folder), load(tmp_path / "packed")
    assert (packed.licences, packed.card) == (half.licences, half.card)
    assert packed.sha256 != half.sha256
    for name, value in half.model.state_dict().items():
        least = value.abs().max().item() / 200
        torch.testing.assert_close(packed.model.state_dict()[name], value, atol=least, rtol=0)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (None, "and its scale, .*row_scale, is missing"),
        (
            torch.ones(1, 1),
            r"expected finite numbers of shape \(\d+, 1\), got torch.float32 \(1, 1\)",
        ),
        (torch.ones(5), r"expected finite numbers of shape \(\d+, 1\)"),
        ("whole", r"expected finite numbers of shape .* got torch.int8"),
        ("not finite", "that are not"),
        ("without its matrix", "disagree"),
    ],
)
def test_a_damaged_packed_checkpoint_is_named(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scale: torch.Tensor | str | None,
    message: str,
) -> None:
    monkeypatch.setattr(weight_files, "PACKED_FROM", 100)
    save(tmp_path / "packed", load(folder), packed=True)
    file = tmp_path / "packed" / "model.safetensors"
    stored = safetensors.torch.load_file(file)
    name = next(name for name in stored if name.endswith(weight_files.ROW_SCALE))
    right = stored.pop(name)
    if scale == "without its matrix":
        stored[name] = right
        del stored[name.removesuffix(weight_files.ROW_SCALE)]
    elif isinstance(scale, str):
        stored[name] = right.to(torch.int8) if scale == "whole" else right * torch.nan
    elif scale is not None:
        stored[name] = scale
    safetensors.torch.save_file(stored, file)
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "packed")


def test_packed_weights_are_refused_where_others_are(tmp_path: Path) -> None:
    layer = torch.nn.Linear(1024, 600)
    with torch.no_grad():
        layer.weight[5, 6] = 1e7
    with pytest.raises(ConfigError, match=r"in weight: training has diverged"):
        weight_files.save_weights(layer, tmp_path / "model.safetensors", packed=True)
    assert not list(tmp_path.iterdir())


def test_a_folder_may_have_the_name_of_one_that_ships(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("large"), load(folder))
    for name in ("./large", Path("large"), Path("./large")):
        assert folder_of(name) == Path("large")
        assert load(name).model.config == load(folder).model.config
    assert folder_of("large") != Path("large")
