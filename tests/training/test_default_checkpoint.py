"""What ships: small enough, and as good as it says."""

import os
from pathlib import Path

import pytest

from dcet.training.checkpoint import Checkpoint, default_folder, load
from dcet.training.evaluate import evaluate_meld

pytestmark = pytest.mark.skipif(
    not (default_folder() / "model.safetensors").is_file(), reason="no checkpoint ships here"
)
MAX_SIZE_MB = 50
REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def default() -> Checkpoint:
    return load("default")


def test_the_weights_that_ship_are_small() -> None:
    files = [path for path in default_folder().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_SIZE_MB * 1e6
    assert {path.suffix for path in files} <= {".json", ".md", ".safetensors"}


def test_licences_and_card_come_with_it(default: Checkpoint) -> None:
    assert default.licences
    assert default.card == (REPO / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("remember", "part"), [(True, "dev"), (False, "dev_memory_reset")], ids=["memory", "reset"]
)
def test_it_is_as_good_as_it_says(default: Checkpoint, remember: bool, part: str) -> None:
    if "DCET_DATA" not in os.environ:
        pytest.skip("DCET_DATA is not set, so there is no MELD to measure it on")
    csv = Path(os.environ["DCET_DATA"], "meld", "dev_sent_emo.csv")
    found, stated = evaluate_meld(default, csv, remember=remember), default.metrics[part]
    for key in ("weighted_f1", "macro_f1", "accuracy"):
        assert found[key] == pytest.approx(stated[key], abs=1e-3)
    assert found["n"] == stated["n"]
