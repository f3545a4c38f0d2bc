"""What the tests of training share: encoders, a corpus and one run, each made once."""

from pathlib import Path

import pytest

from dcet.training.checkpoint import Checkpoint
from dcet.training.fit import fit
from tests.tiny_training import (
    one_thread,
    quiet,
    tiny_config,
    untrained,
    write_bert,
    write_meld,
    write_roberta,
)

__all__ = ["one_thread"]  # a fixture: pytest finds it by its name here


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
