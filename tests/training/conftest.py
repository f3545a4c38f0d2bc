"""Fixtures of the tests of training: encoders, a corpus and one run, each made once."""

from pathlib import Path

import pytest

from dcet.training.dialogue.fit import fit
from dcet.training.encoders.fit_encoder import FitEncoderConfig, fit_encoder
from dcet.training.saved.checkpoint import Checkpoint
from tests.pretend_device import pretend_device
from tests.tiny_senses import SHAPE, write_senses
from tests.tiny_training import (
    one_thread,
    quiet,
    tiny_config,
    untrained,
    write_bert,
    write_meld,
    write_roberta,
)

__all__ = ["one_thread", "pretend_device"]  # fixtures: pytest finds them by their names here


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("encoder") / "bert")


@pytest.fixture(scope="session")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_roberta(tmp_path_factory.mktemp("encoder") / "roberta")


@pytest.fixture(scope="session")
def meld(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_meld(tmp_path_factory.mktemp("corpus") / "meld")


@pytest.fixture(scope="session")
def run(meld: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    fit(tiny_config(meld, bert), folder, quiet)
    return folder


@pytest.fixture
def fresh(bert: Path) -> Checkpoint:
    """An untrained checkpoint of the test's own."""
    return untrained(bert)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all the corpora."""
    folder = tmp_path_factory.mktemp("data")
    write_meld(folder / "meld")
    return write_senses(folder)


@pytest.fixture(scope="session")
def encoders(data: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of three epochs for each modality."""
    runs = {}
    for modality, corpora, shape in (
        ("text", ["meld"], {"encoder": str(bert)}),
        ("audio", ["crema_d", "ravdess"], SHAPE),
        ("face", ["ferplus"], SHAPE),
    ):
        config = FitEncoderConfig.of(
            modality,
            shape=shape,
            data=str(data),
            corpora=corpora,
            epochs=3,
            batch=12,
            judge_every=2,
            licences={"corpus": "CC0"},
        )
        runs[modality] = tmp_path_factory.mktemp("encoders") / modality
        fit_encoder(config, runs[modality], quiet)
    return runs
