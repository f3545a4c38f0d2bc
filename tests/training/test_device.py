"""Where a training runs: every training on a device of its own, and what is said where it fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from dcet.training.cli import main
from dcet.training.corpora.corpus import Corpus
from dcet.training.device import CPU, DeviceError, find_device, moved
from dcet.training.dialogue.batches import Batch, examples, in_order
from dcet.training.dialogue.fit import DialogueTraining, fit
from dcet.training.encoders.distill import DistillConfig, distill
from dcet.training.encoders.fit_encoder import FitEncoderConfig, fit_encoder
from dcet.training.evaluate import evaluate
from dcet.training.fusion.fuse import FuseConfig, fuse
from dcet.training.saved import checkpoint
from tests.pretend_device import (
    THERE,
    Elsewhere,
    PretendDevice,
    losses,
    same_as_on_the_cpu,
)
from tests.tiny_senses import SHAPE, write_bert_classifier, write_resnet, write_wav2vec2
from tests.tiny_training import Killed, KillIn, quiet, tiny_config, wordpiece, write_bert


def test_dialogues(pretend_device: PretendDevice, meld: Path, bert: Path, tmp_path: Path) -> None:
    config = tiny_config(meld, bert)
    same_as_on_the_cpu(lambda run, where: fit(config, run, quiet, where), pretend_device, tmp_path)
    with pytest.raises(Killed):
        fit(config, tmp_path / "begun", KillIn(2))
    with pretend_device:
        fit(config, tmp_path / "begun", quiet, THERE)
        figures = evaluate(str(tmp_path / "begun"), "meld", meld / "dev_sent_emo.csv", device=THERE)
    assert losses(tmp_path / "begun") == pytest.approx(losses(tmp_path / "here"), rel=1e-3)
    there = evaluate(str(tmp_path / "here"), "meld", meld / "dev_sent_emo.csv")
    assert figures["nll"] == pytest.approx(there["nll"], abs=0.02)
    with pretend_device, pytest.raises(Killed):
        fit(config, tmp_path / "back", KillIn(2), THERE)
    fit(config, tmp_path / "back", quiet)
    assert losses(tmp_path / "back") == pytest.approx(losses(tmp_path / "here"), rel=1e-3)


@pytest.mark.parametrize(
    ("modality", "corpus", "changes"),
    [
        ("text", "meld", {}),
        ("audio", "ravdess", {"agreement": 1.0}),
        ("face", "ferplus", {}),
    ],
)
def test_encoders(
    pretend_device: PretendDevice,
    data: Path,
    bert: Path,
    tmp_path: Path,
    modality: str,
    corpus: str,
    changes: dict[str, Any],
) -> None:
    shape = {"encoder": str(bert)} if modality == "text" else SHAPE
    options = {"shape": shape, "data": str(data), "corpora": [corpus], "epochs": 1, "batch": 12}
    config = FitEncoderConfig.of(modality, **options, **changes)
    same_as_on_the_cpu(
        lambda run, where: fit_encoder(config, run, quiet, where), pretend_device, tmp_path
    )


@pytest.mark.parametrize(
    ("modality", "corpus", "write"),
    [
        ("text", "meld", write_bert_classifier),
        ("audio", "ravdess", write_wav2vec2),
        ("face", "ferplus", write_resnet),
    ],
)
def test_students_of_two_teachers(
    pretend_device: PretendDevice,
    encoders: dict[str, Path],
    run: Path,
    data: Path,
    tmp_path: Path,
    modality: str,
    corpus: str,
    write: Callable[[Path], Path],
) -> None:
    ours = run if modality == "text" else encoders[modality]
    config = DistillConfig.of(
        modality,
        teachers=[str(ours), str(write(tmp_path / "teacher"))],
        student={"layers": [1]} if modality == "text" else SHAPE,
        data=str(data),
        corpora=[corpus],
        epochs=1,
        batch=16,
    )
    same_as_on_the_cpu(
        lambda run, where: distill(config, run, quiet, where), pretend_device, tmp_path
    )


def test_fusion(
    pretend_device: PretendDevice, encoders: dict[str, Path], run: Path, data: Path, tmp_path: Path
) -> None:
    config = FuseConfig(
        checkpoint=str(run),
        audio=str(encoders["audio"]),
        face=str(encoders["face"]),
        data=str(data),
        epochs=1,
        dialogues_per_batch=8,
    )
    same_as_on_the_cpu(lambda run, where: fuse(config, run, quiet, where), pretend_device, tmp_path)


def test_what_is_forgotten_on_the_cpu_is_noticed(pretend_device: PretendDevice) -> None:
    """The pretended device is as strict as the real one."""
    layer = nn.Linear(3, 3)
    with pretend_device:
        layer.to(THERE)
        with pytest.raises(Elsewhere, match="addmm"):
            layer(torch.ones(2, 3))
        with pytest.raises(TypeError, match="can't convert cuda:0"):
            layer.weight.detach().numpy()
        assert layer(torch.ones(2, 3).to(THERE)).device == THERE


def test_everything_in_a_batch_is_moved(pretend_device: PretendDevice, meld: Path) -> None:
    (batch,) = list(in_order(examples(Corpus.of_meld(meld, "dev"), wordpiece())[:3], 3))
    with pretend_device:
        there = moved((batch, [batch.emotion]), THERE)
        assert isinstance(there[0], Batch)
        assert there[0].tokens == batch.tokens
        tensors = [getattr(there[0], name) for name in Batch.__slots__] + there[1]
        moved_ones = [value.device for value in tensors if isinstance(value, Tensor)]
    assert len(moved_ones) >= 8
    assert set(moved_ones) == {THERE}


@pytest.mark.parametrize("asked", ["cuda", "cuda:0", "cuda:3"])
def test_a_device_that_is_not_there_is_named(asked: str, tmp_path: Path) -> None:
    arguments = ["evaluate", "default", "--corpus", "meld", "--data", str(tmp_path)]
    result = CliRunner().invoke(main, [*arguments, "--device", asked])
    assert result.exit_code == 2
    assert f"Error: --device {asked}: torch" in result.stderr
    assert "finds no CUDA devices; install torch for CUDA" in result.stderr
    with pytest.raises(DeviceError):
        find_device(asked)
    assert find_device("auto") == CPU


def test_of_two_devices_there_is_no_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("auto") == torch.device("cuda:0")
    assert find_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="finds 2 CUDA devices"):
        find_device("cuda:2")


@pytest.mark.parametrize("asked", ["gpu", "cuda:", "cuda:x", "CUDA", "cpu:0", ""])
def test_a_device_of_another_name_is_wrong_usage(asked: str, tmp_path: Path) -> None:
    arguments = ["evaluate", "default", "--corpus", "meld", "--data", str(tmp_path)]
    result = CliRunner().invoke(main, [*arguments, "--device", asked])
    assert result.exit_code == 2
    assert "expected auto, cpu, cuda or cuda:N" in result.stderr


def test_a_run_that_runs_out_of_memory_goes_on(
    meld: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bert = write_bert(tmp_path / "bert")
    arguments = ["fit", "--meld", str(meld), "--text-encoder", str(bert), "--epochs", "2"]
    arguments += ["--vocabulary", "75", "--output"]
    whole, full = str(tmp_path / "whole"), str(tmp_path / "full")
    assert CliRunner().invoke(main, [*arguments, whole]).exit_code == 0
    fits, updates = DialogueTraining.loss, iter(range(5))  # the fifth is in the second epoch

    def loss(self: DialogueTraining, batch: Batch) -> Tensor:
        if next(updates, None) is None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 …")
        return fits(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(DialogueTraining, "loss", loss)
        result = CliRunner().invoke(main, [*arguments, full])
    assert result.exit_code == 2
    assert "Error: --device cpu: CUDA out of memory" in result.stderr
    assert "the same command goes on" in result.stderr
    assert not list(tmp_path.rglob(".*"))  # nothing half-written
    assert CliRunner().invoke(main, [*arguments, full]).exit_code == 0
    weights = [checkpoint.load(run).sha256 for run in (whole, full)]
    assert weights[0] == weights[1]
