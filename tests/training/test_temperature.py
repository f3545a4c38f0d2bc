"""Temperature scaling and prior adjustment."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from dcet.data.meld import Dialogue, Utterance
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.temperature import calibrate, fit_temperature, prior_bias
from dcet.training.evaluate_text import evaluate_dialogues
from dcet.training.saved.checkpoint import load


def dialogue(emotions: list[int]) -> Dialogue:
    return Dialogue(
        "0", tuple(Utterance("Ada", "hm", e, 0, row, row + 2) for row, e in enumerate(emotions))
    )


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_the_scale_that_made_the_labels_is_found(scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(20_000, 7, generator=generator)
    labels = torch.multinomial((logits * scale).softmax(dim=-1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(scale, rel=0.05)


def test_prior_bias_is_minus_the_log_of_the_shares() -> None:
    # Of eight turns: four neutral, two joy, one anger, one fear.
    bias = prior_bias([dialogue([4, 4, 3, 0]), dialogue([4, 3, 2, 4])], strength=0.5)
    assert bias[4].item() == pytest.approx(0.5 * math.log(2))
    assert bias[3].item() == pytest.approx(0.5 * math.log(4))
    assert bias[0].item() == bias[2].item() == pytest.approx(0.5 * math.log(8))
    assert torch.isfinite(bias).all()  # disgust was never seen
    assert bias[1] > bias[0]


def test_no_strength_is_no_bias() -> None:
    assert not prior_bias([dialogue([4, 3])], strength=0.0).any()


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run / "checkpoint", tmp_path / "checkpoint"))


def test_calibrating_twice_is_calibrating_once(folder: Path, meld: Path) -> None:
    dev, bias = Corpus.of_meld(meld, "dev"), torch.linspace(-0.5, 0.5, len(EMOTIONS))
    once = calibrate(folder, dev, bias)
    weights = (folder / "model.safetensors").read_bytes()
    assert calibrate(folder, dev, bias) == once
    assert (folder / "model.safetensors").read_bytes() == weights


def test_calibration_lowers_the_loss_and_is_kept(folder: Path, meld: Path) -> None:
    dev, csv = Corpus.of_meld(meld, "dev"), meld / "dev_sent_emo.csv"
    loaded = load(folder)
    heads = loaded.model.step.heads
    heads.calibration_bias.zero_()
    heads.calibration_scale.fill_(9.0)
    worse = evaluate_dialogues(loaded, csv, dev)
    figures = calibrate(folder, dev, torch.zeros(7))
    assert figures["dev"]["nll"] < worse["nll"]
    assert figures["dev"]["confusion"] == worse["confusion"]  # a scale changes no decision
    kept = load(folder)
    assert kept.metrics == json.loads(json.dumps(figures))
    again = evaluate_dialogues(kept, csv, dev)
    assert again["nll"] == pytest.approx(figures["dev"]["nll"], abs=1e-3)  # kept in FP16
    reset = evaluate_dialogues(kept, csv, dev, remember=False)
    assert reset["nll"] == pytest.approx(figures["dev_memory_reset"]["nll"], abs=1e-3)
