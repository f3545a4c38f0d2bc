"""A run's folder and its loop: what can be begun, what can be resumed, what is averaged."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from dcet.runtime.errors import ConfigError, OneClassOnly, WriteError
from dcet.training.dialogue.fit import fit
from dcet.training.encoders.fit_encoder import FitEncoderConfig, fit_encoder
from dcet.training.run.loop import (
    Judgement,
    Training,
    averaged,
    snapshot,
    train,
    update_average,
)
from dcet.training.run.run_config import RunConfig
from dcet.training.saved import encoder_run
from tests.tiny_training import Killed, KillIn, Recorder, quiet, tiny_config

BEGUN = Path(__file__).parent / "begun_by_0_3_0"  # killed in the second of two epochs


@pytest.fixture
def begun(meld: Path, bert: Path, tmp_path: Path) -> Path:
    """A run of two epochs that was killed in the second."""
    with pytest.raises(Killed):
        fit(tiny_config(meld, bert), tmp_path / "run", KillIn(2))
    return tmp_path / "run"


def test_a_run_begun_by_version_0_3_0_goes_on(data: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(BEGUN, tmp_path / "run"))
    settings = json.loads((run / "config.json").read_text(encoding="utf-8")) | {"data": str(data)}
    (run / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    first, seen = (run / "log.jsonl").read_text(encoding="utf-8"), Recorder()
    figures = fit_encoder(FitEncoderConfig.of(**settings), run, seen)
    assert {message[:8] for message in seen.updates} == {"epoch 2 "}
    assert (run / "log.jsonl").read_text(encoding="utf-8").startswith(first)
    assert encoder_run.load(run).metrics == json.loads(json.dumps(figures))


def test_a_run_of_dialogues_is_resumed_from_the_names_of_version_0_3_0(begun: Path) -> None:
    with safe_open(begun / "resume" / "state.safetensors", framework="pt") as state:
        parts = {name.partition("/")[0] for name in state.keys()}  # noqa: SIM118  (not a dict)
        notes = json.loads(state.metadata()["notes"])
    assert parts == {"average", "model", "objective", "optimizer"}
    assert notes.keys() == {"epoch", "best"}
    assert notes["best"].keys() == {"epoch", "weighted_f1"}


@pytest.mark.parametrize("kept", [0, 8, 4_000, None])
def test_a_damaged_state_is_named(begun: Path, meld: Path, bert: Path, kept: int | None) -> None:
    """Cut short, or of another network."""
    state = begun / "resume" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:kept] if kept is not None else other_state())
    before = (begun / "checkpoint" / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"state\.safetensors: .* cannot be resumed .* remove"):
        fit(tiny_config(meld, bert), begun, quiet)
    assert (begun / "checkpoint" / "model.safetensors").read_bytes() == before


def other_state() -> bytes:
    return (BEGUN / "resume" / "state.safetensors").read_bytes()


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "\udcff", "[" * 100_000])
def test_a_broken_configuration_of_a_run_is_named(
    meld: Path, bert: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "run").mkdir()
    file = tmp_path / "run" / "config.json"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError, match=r"config\.json: expected the configuration of a run"):
        fit(tiny_config(meld, bert), tmp_path / "run", quiet)


def test_a_folder_that_cannot_be_made_is_named_before_any_work(
    meld: Path, bert: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for run in (tmp_path / "file", tmp_path / "file" / "run" / "one", Path("/proc/run")):
        seen = Recorder()
        with pytest.raises(WriteError, match="the folder cannot be made"):
            fit(tiny_config(meld, bert), run, seen)
        assert not seen.updates


def test_one_emotion_alone_teaches_nothing(meld: Path, bert: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(meld, tmp_path / "meld"))
    table = own / "train_sent_emo.csv"
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    joyful = [row for row in rows if ",joy," in row]
    table.write_text("\n".join([header, *joyful]) + "\n", encoding="utf-8")
    with pytest.raises(OneClassOnly, match=r"meld, train: expected .* two emotions.* joy alone"):
        fit(tiny_config(own, bert), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_is_stopped(meld: Path, bert: Path, tmp_path: Path) -> None:
    config = tiny_config(meld, bert, step_learning_rate=1e30, encoder_learning_rate=1e30)
    with pytest.raises(ConfigError, match=r"epoch 1: the loss is .* lower learning rates"):
        fit(config, tmp_path / "run", quiet)


def test_the_average_stands_in_for_the_weights_and_they_come_back() -> None:
    linear = nn.Linear(3, 3)
    network = nn.Sequential(linear, nn.BatchNorm1d(3))
    first, average = snapshot(network), snapshot(network)
    with torch.no_grad():
        linear.weight.add_(1)
    network(torch.randn(5, 3))  # moves the statistics of the normalisation
    last = snapshot(network)
    update_average(average, network, 0.75)
    assert torch.allclose(average["0.weight"], 0.75 * first["0.weight"] + 0.25 * last["0.weight"])
    assert average["1.num_batches_tracked"] == 1  # counts are copied, not averaged
    with averaged(network, average):
        assert not network.training
        assert torch.equal(linear.weight, average["0.weight"])
    assert all(torch.equal(last[name], value) for name, value in network.state_dict().items())
    with pytest.raises(Killed), averaged(network, average):
        raise Killed
    assert all(torch.equal(last[name], value) for name, value in network.state_dict().items())


class Bowl(Training[Tensor]):
    """Half the square of one weight, to be minimised by plain descent."""

    network: nn.Linear
    batches_per_epoch = 1

    def __init__(self, sharpness: float) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.network.weight)
        self.modules, self.notes, self.sharpness = {"network": self.network}, {}, sharpness
        self.clipped, self.clip_norm = list(self.network.parameters()), None
        self.optimizer = torch.optim.SGD(self.clipped, lr=0.1)
        self.seen: list[float] = []

    def batches(self, seed: int) -> Iterator[Tensor]:
        yield torch.ones(1)

    def loss(self, batch: Tensor) -> Tensor:
        height: Tensor = self.network(batch).square().sum() / 2
        self.seen.append(self.network.weight.item())
        return height

    def judge(self, epoch: int) -> Judgement:
        return Judgement({}, "")


@pytest.mark.parametrize(
    ("sharpness", "seen", "left"), [(0.0, [1.0], 0.9), (0.5, [1.0, 1.5], 0.85)]
)
def test_the_gradient_is_that_of_the_worst_place_around(
    tmp_path: Path, sharpness: float, seen: list[float], left: float
) -> None:
    bowl = Bowl(sharpness)
    train(bowl, RunConfig(epochs=1, warmup=0.0), tmp_path / "run", quiet)
    assert bowl.seen == pytest.approx(seen)
    assert bowl.network.weight.item() == pytest.approx(left)


class Counted(Bowl):
    """A bowl behind batch normalisation."""

    def __init__(self, sharpness: float) -> None:
        super().__init__(sharpness)
        self.norm = nn.BatchNorm1d(1, momentum=0.5)
        self.network.norm = self.norm

    def loss(self, batch: Tensor) -> Tensor:
        rows = torch.tensor([[1.0], [3.0]]) * self.network.weight
        summed: Tensor = super().loss(batch) + self.norm(rows).sum()
        return summed


def test_what_is_seen_uphill_does_not_count_for_batch_normalisation(tmp_path: Path) -> None:
    counted = Counted(0.5)
    train(counted, RunConfig(epochs=1, warmup=0.0), tmp_path / "run", quiet)
    assert counted.norm.running_mean is not None
    assert counted.norm.running_mean.item() == pytest.approx(1.0)  # half of 2, once
    assert counted.norm.momentum == 0.5
