"""A run: it learns, goes on after a kill as if nothing had been, and refuses what is wrong."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from dcet.runtime.errors import ConfigError, DataError, DataNotFound, WriteError
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import Batch, collate, examples
from dcet.training.dialogue.fit import drop_tokens, fit, new_model, parameter_groups
from dcet.training.dialogue.objective import Objective
from dcet.training.evaluate_text import evaluate_dialogues
from dcet.training.run import resume
from dcet.training.run.loop import schedule
from dcet.training.saved import checkpoint
from dcet.training.saved import weights as weight_files
from tests.tiny_training import (
    VOCABULARY,
    Killed,
    KillIn,
    Recorder,
    quiet,
    tiny_config,
    wordpiece,
    write_bert,
)

PLAIN_TEXT = {".json", ".jsonl", ".md", ".safetensors"}  # nothing that runs code when it is read


def weights(run: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(run / "checkpoint" / "model.safetensors")


def figures(run: Path) -> object:
    return json.loads((run / "checkpoint" / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture
def batch(meld: Path) -> Batch:
    torch.manual_seed(0)
    return collate(examples(Corpus.of_meld(meld, "train"), wordpiece()))


def test_a_run_holds_no_file_that_runs_code(run: Path) -> None:
    files = [path for path in run.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == PLAIN_TEXT
    assert not list(run.rglob(".*"))  # nothing temporary stayed


def test_a_run_says_how_it_was_made(run: Path, meld: Path, bert: Path) -> None:
    written = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert written["text_encoder"] == str(bert)
    assert written["model"]["width"] == 16
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert checkpoint.load(run).licences == {"corpus": "Apache-2.0"}
    assert checkpoint.load(run).trained == ("text",)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_killed_run_ends_as_an_unbroken_one(
    run: Path, meld: Path, bert: Path, tmp_path: Path, epoch: int
) -> None:
    config = tiny_config(meld, bert)
    with pytest.raises(Killed):
        fit(config, tmp_path / "run", KillIn(epoch))
    fit(config, tmp_path / "run", quiet)
    whole, resumed = weights(run), weights(tmp_path / "run")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert figures(run) == figures(tmp_path / "run")
    logs = [(path / "log.jsonl").read_text(encoding="utf-8") for path in (run, tmp_path / "run")]
    assert logs[0] == logs[1]


def test_resuming_does_not_begin_again(run: Path, meld: Path, bert: Path, tmp_path: Path) -> None:
    config, seen = tiny_config(meld, bert), Recorder()
    with pytest.raises(Killed):
        fit(config, tmp_path / "run", KillIn(2))
    fit(config, tmp_path / "run", seen)
    assert {message[:8] for message in seen.updates} == {"epoch 2 "}
    assert [message[:12] for message in seen.said] == ["epoch 2 dev "]


def test_a_finished_run_stays_as_it_is(run: Path, meld: Path, bert: Path) -> None:
    before = weights(run)
    fit(tiny_config(meld, bert), run, quiet)
    assert all(torch.equal(before[name], value) for name, value in weights(run).items())


def test_another_seed_makes_another_model(
    run: Path, meld: Path, bert: Path, tmp_path: Path
) -> None:
    fit(tiny_config(meld, bert, seed=1, epochs=1), tmp_path / "run", quiet)
    assert not all(torch.equal(weights(run)[n], v) for n, v in weights(tmp_path / "run").items())


def test_training_learns_what_there_is_to_learn(meld: Path, bert: Path, tmp_path: Path) -> None:
    """Every utterance names its emotion, so even this encoder gets far from guessing."""
    config = tiny_config(
        meld,
        bert,
        epochs=8,
        encoder_learning_rate=3e-2,
        step_learning_rate=1e-2,
        dialogues_per_batch=4,
        average=0.5,
    )
    found = fit(config, tmp_path / "run", quiet)
    assert found["dev"]["weighted_f1"] > 0.5  # guessing gives 0.15
    assert set(found) == {"dev", "dev_memory_reset"}
    log = [
        json.loads(line)
        for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    best = max(line["weighted_f1"] for line in log)
    assert best > log[0]["weighted_f1"]
    # What is kept is the best epoch, with the prior's bias added after training.
    loaded = checkpoint.load(tmp_path / "run")
    loaded.model.step.heads.calibration_bias.zero_()
    kept = evaluate_dialogues(
        loaded, meld / "dev_sent_emo.csv", Corpus.read(meld / "dev_sent_emo.csv")
    )
    assert kept["weighted_f1"] == pytest.approx(best, abs=0.03)  # weights are kept in FP16


def test_any_encoder_can_be_trained(meld: Path, roberta: Path, tmp_path: Path) -> None:
    """A RoBERTa has positions, special tokens and a vocabulary of its own."""
    fit(tiny_config(meld, roberta, vocabulary=None, epochs=1), tmp_path / "run", quiet)
    loaded = checkpoint.load(tmp_path / "run")
    assert loaded.model.config.text_width == 16
    assert loaded.tokenizer.encode("so happy").tokens[0] == "<s>"


def test_half_precision_encoders_are_trained_in_float32(meld: Path, tmp_path: Path) -> None:
    encoder = write_bert(tmp_path / "half", dtype=torch.float16)
    model, _, _ = new_model(tiny_config(meld, encoder), [])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_vocabulary_is_cut_to_size(run: Path) -> None:
    loaded = checkpoint.load(run)
    rows = loaded.model.text.backbone.get_input_embeddings().num_embeddings
    assert loaded.tokenizer.get_vocab_size() == rows
    assert rows < len(VOCABULARY)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, "seed"),
        ({"epochs": 3, "alone": 0.1}, "epochs, alone"),
        ({"licences": {}}, "licences"),
    ],
)
def test_a_run_of_another_configuration_is_refused(
    run: Path, meld: Path, bert: Path, changes: dict[str, object], named: str
) -> None:
    before = weights(run)
    with pytest.raises(ConfigError, match=f"was begun with another {named}; .* new --output"):
        fit(tiny_config(meld, bert, **changes), run, quiet)
    assert all(torch.equal(before[name], value) for name, value in weights(run).items())


def spoil_nothing(folder: Path) -> None:
    """There is no such folder."""


def spoil_weights(folder: Path) -> None:
    path = write_bert(folder) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2_000])


def spoil_config(folder: Path) -> None:
    (write_bert(folder) / "config.json").write_text('{"model_type": "nonesuch"}', encoding="utf-8")


def remove_tokenizer(folder: Path) -> None:
    """Transformers would make up a tokenizer that knows no words."""
    for path in write_bert(folder).glob("tokenizer*"):
        path.unlink()


@pytest.mark.parametrize(
    "spoil",
    [spoil_nothing, spoil_weights, spoil_config, remove_tokenizer],
    ids=lambda f: f.__name__,
)
def test_a_bad_encoder_is_named(meld: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / "encoder")
    with pytest.raises(ConfigError, match=f"--text-encoder {tmp_path / 'encoder'}: "):
        fit(tiny_config(meld, tmp_path / "encoder"), tmp_path / "run", quiet)


def test_a_corpus_that_is_not_there_is_named(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match=r"train_sent_emo\.csv"):
        fit(tiny_config(tmp_path, bert), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_opinions_on_other_turns_are_refused(meld: Path, bert: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "soft.npz", probabilities=np.full((3, 7), 1 / 7))
    config = tiny_config(meld, bert, soft_labels=str(tmp_path / "soft.npz"))
    with pytest.raises(DataError, match=r"expected probabilities \(\d+, 7\).*got \(3, 7\)"):
        fit(config, tmp_path / "run", quiet)


@pytest.mark.parametrize("module", [weight_files, resume], ids=["checkpoint", "resume"])
def test_a_full_disk_leaves_what_was_there(
    meld: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object
) -> None:
    config, run = tiny_config(meld, bert), tmp_path / "run"
    with pytest.raises(Killed):
        fit(config, run, KillIn(2))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_file", no_space)
        with pytest.raises(WriteError, match="No space left"):
            fit(config, run, quiet)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    log = run / "log.jsonl"
    assert after.keys() == before.keys()
    kept = "resume" if module is resume else "checkpoint"
    assert all(after[path] == before[path] for path in after if kept in path.parts)
    assert after[log].startswith(before[log])
    fit(config, run, quiet)  # and once there is room, it goes on


def no_space(_tensors: object, path: Path, metadata: object = None) -> None:
    path.write_bytes(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_while_logging_is_said(
    meld: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Path, _text: str, **_options: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    fit_config = tiny_config(meld, bert, epochs=1)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(WriteError, match="No space left"):
        fit(fit_config, tmp_path / "run", quiet)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_every_parameter_learns_once_and_lower_layers_more_slowly(meld: Path, bert: Path) -> None:
    config = tiny_config(meld, bert, layer_decay=0.5, encoder_learning_rate=1.0)
    model, _, _ = new_model(config, [])
    objective = Objective(16, smoothing=0.1, soft_share=0.5, contrast=0.1, alone=0.5)
    groups = parameter_groups(model, objective, config)
    listed = [parameter for group in groups for parameter in group["params"]]
    everything = {*model.parameters(), *objective.parameters()}
    assert len(listed) == len(everything)
    assert set(listed) == everything
    rates = {p: group["lr"] for group in groups for p in group["params"]}
    of = {name: rates[p] for name, p in model.text.backbone.named_parameters()}
    assert {of[name] for name in of if name.startswith("embeddings")} == {0.25}
    assert {of[name] for name in of if ".layer.0." in name} == {0.5}
    assert {of[name] for name in of if ".layer.1." in name} == {1.0}
    assert {rates[p] for p in model.step.parameters()} == {config.step_learning_rate}


def test_the_rate_warms_up_and_falls_to_nought() -> None:
    rates = [schedule(done / 100, warmup=0.1) for done in range(101)]
    assert rates[0] == 0
    assert max(rates) == rates[10] == 1
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert schedule(0.0, warmup=0.0) == 1


def test_dropped_tokens_are_masked_within_the_sentence(batch: Batch) -> None:
    noisy = drop_tokens(batch, 0.5, mask_id=4)
    pairs = [
        pair
        for before, after in zip(batch.tokens, noisy.tokens, strict=True)
        for pair in zip(before, after, strict=True)
    ]
    masked = [after for before, after in pairs if before != after]
    assert set(masked) == {4}
    inner = sum(len(ids) - 2 for ids in batch.tokens)
    assert len(masked) / inner == pytest.approx(0.5, abs=0.1)
    ends = [(ids[0], ids[-1]) for ids in noisy.tokens]
    assert ends == [(ids[0], ids[-1]) for ids in batch.tokens]


@pytest.mark.parametrize(("share", "mask_id"), [(0.0, 4), (0.5, None)])
def test_nothing_is_dropped_without_share_or_mask(
    batch: Batch, share: float, mask_id: int | None
) -> None:
    assert drop_tokens(batch, share, mask_id).tokens == batch.tokens
