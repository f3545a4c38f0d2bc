"""`dcet-train` as it is typed."""

import copy
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from dcet.runtime.errors import ConfigError
from dcet.training.cli import main
from dcet.training.corpora.classes import label_shares
from dcet.training.corpora.corpus import Corpus
from dcet.training.encoders.fit_encoder import FitEncoderConfig
from dcet.training.evaluate_text import evaluate_dialogues
from dcet.training.saved import encoder_run
from dcet.training.saved.checkpoint import Checkpoint, load, save
from tests.tiny_senses import SHAPE

KEYS = {
    *("n", "weighted_f1", "macro_f1", "accuracy", "uar", "per_class_f1", "confusion"),
    *("confidence", "sentiment", "shift", "ece", "nll", "interval_95"),
}
SHIFT_KEYS = {"f1", "average_precision", "auc", "ece", "base_rate", "always_yes_f1"}


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def evaluate(checkpoint: object, data: Path, *options: object) -> Result:
    return train("evaluate", checkpoint, "--corpus", "meld", "--data", data, *options)


def message(result: Result) -> str:
    """The one line that says what is wrong."""
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in result.output
    return line


@pytest.fixture
def dev(meld: Path) -> Path:
    return meld / "dev_sent_emo.csv"


COMMANDS = (
    *("fit", "soft-labels", "select", "calibrate", "encoder", "distill", "fuse", "evaluate"),
    "turns",
)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_has_an_example(command: list[str]) -> None:
    result = train(*command, "--help")
    assert result.exit_code == 0
    example = result.output.partition("Example:")[2]
    assert f"dcet-train {' '.join(command)}".strip() in example
    assert len([line for line in example.splitlines() if line.count("dcet-train ") > 1]) == 0


def test_fit_takes_the_settings_of_another_run_but_for_what_is_named(
    meld: Path, bert: Path, tmp_path: Path
) -> None:
    settings = {"vocabulary": 70, "epochs": 1, "seed": 9, "model": {"width": 16, "layers": 1}}
    (tmp_path / "changes.json").write_text(json.dumps(settings), encoding="utf-8")
    command = ["fit", "--meld", meld, "--text-encoder", bert, "--output"]
    first, again = tmp_path / "first" / "config.json", tmp_path / "again" / "config.json"
    for file, changes in ((first, tmp_path / "changes.json"), (again, first)):
        result = train(*command, file.parent, "--config", changes, "--seed", 3)
        assert result.exit_code == 0, result.output
    config = json.loads(first.read_text(encoding="utf-8"))
    assert (config["vocabulary"], config["epochs"], config["seed"]) == (70, 1, 3)
    assert config["model"]["width"] == 16
    assert again.read_text(encoding="utf-8") == first.read_text(encoding="utf-8")


def test_fit_goes_from_a_corpus_to_figures(meld: Path, bert: Path, tmp_path: Path) -> None:
    command = ["fit", "--meld", meld, "--text-encoder", bert, "--output", tmp_path / "run"]
    result = train(
        *command,
        *["--epochs", 1, "--seed", 3, "--vocabulary", 0, "--json"],
        *["--licence", "data=GPL-3.0", "--licence", "encoder=A=B"],
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert KEYS == set(figures["dev"]) == set(figures["dev_memory_reset"])
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert (config["seed"], config["epochs"], config["vocabulary"]) == (3, 1, None)
    assert load(tmp_path / "run").licences == {"data": "GPL-3.0", "encoder": "A=B"}
    assert "epoch 1 dev weighted_f1" in result.stderr
    refused = train(*command, "--epochs", 2)
    assert "was begun with another" in message(refused)
    assert "epochs" in message(refused)


def test_soft_labels_writes_what_fit_reads(meld: Path, bert: Path, tmp_path: Path) -> None:
    options = ["--meld", meld, "--text-encoder", bert, "--epochs", 1, "--vocabulary", 0]
    output = tmp_path / "soft.npz"
    runs = ["--folds", 2, "--runs", tmp_path / "folds", "--output", output]
    result = train("soft-labels", *options, *runs)
    assert result.exit_code == 0, result.output
    assert np.load(output)["probabilities"].shape[1] == 7
    result = train("fit", *options, "--soft-labels", output, "--output", tmp_path / "run")
    assert result.exit_code == 0, result.output


def test_evaluate_writes_the_agreed_keys(run: Path, dev: Path, tmp_path: Path) -> None:
    result = evaluate(run, dev, "--json", tmp_path / "dev.json")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "dev.json").read_text(encoding="utf-8"))
    assert set(figures) == {*KEYS, "unusable"}
    assert set(figures["sentiment"]) == {"mae", "pearson", "ccc"}
    assert set(figures["shift"]) == SHIFT_KEYS
    assert set(figures["confidence"]) == {"ece", "auc"}
    assert np.array(figures["confusion"]).sum() == figures["n"]
    assert figures == json.loads(json.dumps(evaluate_dialogues(load(run), dev, Corpus.read(dev))))
    assert "weighted_f1" in result.stdout


def test_evaluate_shows_the_spread_of_several_runs(
    run: Path, fresh: Checkpoint, dev: Path, tmp_path: Path
) -> None:
    save(tmp_path / "other", fresh)
    arguments = [run, tmp_path / "other", "--corpus", "meld", "--data", dev]
    result = train("evaluate", *arguments, "--json", tmp_path / "spread.json")
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "spread.json").read_text(encoding="utf-8"))
    one, two = (part["weighted_f1"] for part in written["runs"].values())
    assert list(written["runs"]) == [str(run), str(tmp_path / "other")]
    assert written["mean"]["weighted_f1"] == pytest.approx((one + two) / 2)
    deviation = abs(one - two) / 2**0.5
    assert written["standard_deviation"]["weighted_f1"] == pytest.approx(deviation)
    assert written["mean"]["n"] == written["runs"][str(run)]["n"]
    assert "joy" in written["standard_deviation"]["per_class_f1"]
    assert "interval_95" not in written["mean"]
    row = next(line for line in result.stdout.splitlines() if "weighted_f1" in line)
    assert f"{(one + two) / 2:.4f} ± {deviation:.4f}" in row


def test_calibrate_fits_anew_and_leaves_the_rest(run: Path, meld: Path, tmp_path: Path) -> None:
    before = load(run)
    step, fitted = before.model.step, copy.deepcopy(before.model.step)
    step.heads.calibration_scale.fill_(9.0)
    step.shift.bias.fill_(9.0)
    step.confidence.bias.fill_(9.0)
    save(tmp_path / "spoilt", replace(before, metrics={"audio": {"n": 1}}))
    for name, source in (("once", "spoilt"), ("twice", "once")):
        command = ["calibrate", tmp_path / source, "--meld", meld, "--output", tmp_path / name]
        result = train(*command, "--json", tmp_path / f"{name}.json")
        assert result.exit_code == 0, result.output
        assert "always_yes_f1" in result.stdout
    loaded = load(tmp_path / "once")
    assert load(tmp_path / "twice").sha256 == loaded.sha256
    assert set(loaded.metrics) == {"audio", "dev", "dev_memory_reset"}
    assert (
        json.loads((tmp_path / "once.json").read_text(encoding="utf-8"))["dev"]
        == loaded.metrics["dev"]
    )
    now = loaded.model.step
    scale, known = (part.heads.calibration_scale.item() for part in (now, fitted))
    assert scale == pytest.approx(known, rel=1e-3)
    assert torch.allclose(now.shift.bias, fitted.shift.bias, atol=1e-2)
    assert now.confidence.bias[1] < 9  # of text alone
    assert (now.confidence.bias[2:] == 9).all()


def test_a_prior_is_for_text_alone(run: Path, meld: Path, tmp_path: Path) -> None:
    """Sets of modalities with a voice or a face were calibrated by themselves."""
    rarer, more = (tmp_path / name for name in ("rarer", "more"))
    for output, strength in ((rarer, -1.5), (more, 1.5)):
        command = ["calibrate", run, "--meld", meld, "--output", output]
        result = train(*command, "--prior-adjustment", strength)
        assert result.exit_code == 0, result.output
    before, after = (load(name).model.step.heads for name in (rarer, more))
    shares = label_shares(torch.tensor([t.emotion for t in Corpus.of_meld(meld, "train").turns]))
    apart = after.calibration_bias - before.calibration_bias
    torch.testing.assert_close(apart, -3 * shares.clamp_min(1e-6).log(), atol=0.03, rtol=1e-3)
    context, direct = torch.randn(5, before.emotion.in_features), torch.randn(5, 7)
    for mask in itertools.product((0.0, 1.0), repeat=3):
        rows = torch.tensor(mask).expand(5, 3)
        said, again = (heads(context, direct, rows)[0].softmax(-1) for heads in (before, after))
        is_same = torch.allclose(said, again, atol=5e-3)
        assert is_same == (mask != (1.0, 0.0, 0.0))


def test_evaluate_can_reset_the_memory(run: Path, dev: Path, tmp_path: Path) -> None:
    assert evaluate(run, dev, "--json", tmp_path / "a.json").exit_code == 0
    result = evaluate(run, dev, "--reset-memory", "--json", tmp_path / "b.json")
    assert result.exit_code == 0
    kept, reset = (
        json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("a.json", "b.json")
    )
    assert reset["nll"] != kept["nll"]
    expected = load(run).metrics["dev_memory_reset"]["nll"]
    assert reset["nll"] == pytest.approx(expected, abs=1e-3)


def test_select_keeps_a_run(run: Path, meld: Path, tmp_path: Path) -> None:
    result = train("select", run, "--meld", meld, "--output", tmp_path / "kept")
    assert result.exit_code == 0, result.output
    assert "seed 0" in result.stdout
    assert load(tmp_path / "kept").sha256 == load(run).sha256


def test_encoder_and_distill_go_from_a_corpus_to_figures(data: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"shape": SHAPE, "batch": 8}), encoding="utf-8"
    )
    (tmp_path / "student.json").write_text(json.dumps(SHAPE), encoding="utf-8")
    common = ["--modality", "face", "--corpus", "ferplus", "--data", data, "--epochs", 1, "--json"]
    result = train(
        *["encoder", *common, "--output", tmp_path / "teacher", "--licence", "FER+=MIT"],
        *["--config", tmp_path / "config.json", "--seed", 2],
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["ferplus"].keys() == KEYS - {
        "confidence",
        "sentiment",
        "shift",
    }
    config = json.loads((tmp_path / "teacher" / "config.json").read_text(encoding="utf-8"))
    assert (config["seed"], config["epochs"], config["batch"]) == (2, 1, 8)
    result = train(
        *["distill", *common, "--output", tmp_path / "run", "--teacher", tmp_path / "teacher"],
        *["--student", tmp_path / "student.json"],
    )
    assert result.exit_code == 0, result.output
    assert encoder_run.load(tmp_path / "run").licences == {"FER+": "MIT"}
    for run in ("teacher", "run"):
        options = ["--corpus", "ferplus", "--data", data, "--json", tmp_path / "out.json"]
        assert train("evaluate", tmp_path / run, *options).exit_code == 0
        found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        assert found["n"] == 7
        assert found["ece"] == pytest.approx(
            encoder_run.load(tmp_path / run).metrics["ferplus"]["ece"], abs=0.01
        )


def test_text_encoders_are_named_by_an_option(data: Path, bert: Path, tmp_path: Path) -> None:
    common = ["--modality", "text", "--corpus", "meld", "--data", data, "--output"]
    options = ["--text-encoder", bert, "--epochs", 1]
    result = train("encoder", *common, tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    assert "uar" in result.stdout
    assert "give a Hugging Face id" in message(
        train("encoder", *common, tmp_path / "no", "--text-encoder", tmp_path / "none")
    )


def test_a_vocabulary_that_cannot_be_cut_names_each_commands_own_option(
    meld: Path, data: Path, roberta: Path, tmp_path: Path
) -> None:
    fit = ["--meld", meld, "--text-encoder", roberta, "--vocabulary", 70]
    fixed = "the vocabulary of a BPE tokenizer cannot be cut, only WordPiece's; "
    (tmp_path / "cut.json").write_text('{"encoder": "teacher", "vocabulary": 75}', encoding="utf-8")
    (tmp_path / "shape.json").write_text('{"shape": {"vocabulary": 75}}', encoding="utf-8")
    common = ["--modality", "text", "--corpus", "meld", "--data", data, "--output", tmp_path / "no"]
    distill = ["--teacher", roberta, "--student", tmp_path / "cut.json"]
    encoder = ["--text-encoder", roberta, "--config", tmp_path / "shape.json"]
    folds = ["--runs", tmp_path / "folds", "--output", tmp_path / "soft.npz"]
    for command, advice in (
        (["fit", *fit, "--output", tmp_path / "no"], "with --vocabulary 0"),
        (["soft-labels", *fit, *folds], "with --vocabulary 0"),
        (["distill", *common, *distill], f"leave vocabulary out of --student {tmp_path}"),
        (["encoder", *common, *encoder], "leave vocabulary out of the shape in --config"),
    ):
        line = message(train(*command))
        assert fixed in line
        assert advice in line
    assert not (tmp_path / "no").exists()


def test_wrong_types_and_ranges_are_said(data: Path, tmp_path: Path) -> None:
    common = ["encoder", "--modality", "face", "--corpus", "ferplus", "--data", data]
    for settings, expected in (
        ('{"epochs": "many"}', "--config: epochs: expected a whole number of at least 1, got"),
        ('{"learning_rate": NaN}', "cannot be read as JSON (NaN is no number of JSON)"),
        ('{"batch": -3}', "batch: expected a whole number of at least 1, got -3"),
        ('{"shape": {"width": "wide"}}', "--config: shape: width: expected a whole number"),
        ('{"shape": 3}', "shape: expected an object"),
        ('{"licences": {"FER+": null}}', "licences: expected an object, each value a string"),
        ("[" * 100_000, "cannot be read as JSON"),
    ):
        (tmp_path / "bad.json").write_text(settings, encoding="utf-8")
        bad = ["--output", tmp_path / "run", "--config", tmp_path / "bad.json"]
        assert expected in message(train(*common, *bad))
    (tmp_path / "bad.json").write_text('{"corpora": ["nonesuch"]}', encoding="utf-8")
    bad = ["--output", tmp_path / "run", "--config", tmp_path / "bad.json"]
    unknown = "--corpus nonesuch: expected one of face, got an unknown"
    assert unknown in message(train("encoder", "--modality", "face", "--data", data, *bad))
    with pytest.raises(ConfigError, match="expected one of text, audio, face, got 'smell'"):
        FitEncoderConfig.of("smell", data=str(data))
    assert not (tmp_path / "run").exists()


def test_a_text_encoder_is_asked_for(data: Path, tmp_path: Path) -> None:
    common = ["--modality", "text", "--corpus", "meld", "--data", data, "--output", tmp_path / "no"]
    assert "expected --text-encoder" in message(train("encoder", *common))


def test_bad_settings_are_said(data: Path, tmp_path: Path) -> None:
    common = ["--modality", "face", "--corpus", "ferplus", "--data", data]
    for text, expected in (("{", "cannot be read as JSON"), ("[1]", "expected a JSON object")):
        (tmp_path / "bad.json").write_text(text, encoding="utf-8")
        bad = ["--output", tmp_path / "run", "--config", tmp_path / "bad.json"]
        assert expected in message(train("encoder", *common, *bad))
    student = ["--output", tmp_path / "run", "--teacher", tmp_path, "--student"]
    assert "expected a JSON object" in message(
        train("distill", *common, *student, tmp_path / "bad.json")
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("spoilt", ["Emotion", "joy", "utf8", "header"])
def test_bad_data_is_one_line_and_writes_nothing(
    run: Path, dev: Path, tmp_path: Path, spoilt: str
) -> None:
    data = dev.read_bytes()
    edits = {
        "Emotion": (data.replace(b"Emotion", b"Mood", 1), "columns Emotion are missing"),
        "joy": (data.replace(b",joy,", b",glee,", 1), "Emotion is 'glee'"),
        "utf8": (data + b"It\x92s,Ada,joy,positive,9,0\n", "byte 0x92"),
        "header": (data.splitlines()[0] + b"\n", "at least one row"),
    }
    changed, expected = edits[spoilt]
    bad = tmp_path / "bad.csv"
    bad.write_bytes(changed)
    result = evaluate(run, bad, "--json", tmp_path / "out.json")
    assert expected in message(result)
    assert "bad.csv" in message(result)
    assert not (tmp_path / "out.json").exists()


def test_bad_arguments_are_said(run: Path, dev: Path, bert: Path, tmp_path: Path) -> None:
    assert "not a checkpoint" in message(evaluate(tmp_path / "none", dev))
    assert "no folder" in message(evaluate(run, dev, "--json", tmp_path / "no" / "out.json"))
    assert "cannot be read" in message(evaluate(run, tmp_path))
    fit = ["fit", "--meld", tmp_path, "--text-encoder", bert, "--output", tmp_path / "run"]
    assert "expected NAME=LICENCE, got 'GPL'" in message(train(*fit, "--licence", "GPL"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    blocked = [*fit[:-1], tmp_path / "file" / "run"]
    assert f"expected a folder, {tmp_path / 'file'} is a file" in message(train(*blocked))
    assert "0 is not in the range x>=1" in message(train(*fit, "--epochs", 0))
    assert "-1 is not in the range 0<=x<=4294967295" in message(train(*fit, "--seed", -1))
    assert "train_sent_emo.csv" in message(train(*fit))
    assert "Missing option '--text-encoder'" in message(train("fit"))


@pytest.mark.parametrize("package", ["torch", "transformers", "safetensors"])
def test_a_missing_extra_names_its_cure(
    run: Path, dev: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    line = message(evaluate(run, dev))
    assert f"{package} is not installed; run: pip install 'dcet[train]'" in line
