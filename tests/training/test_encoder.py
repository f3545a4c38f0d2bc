"""`dcet-train encoder`: from the corpora's layout to an encoder, resumed as if never killed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import MPNetConfig, MPNetModel

from dcet.runtime.errors import ConfigError, DataError
from dcet.training.corpora.speech import read_speech
from dcet.training.encoders.fit_encoder import FitEncoderConfig, fit_encoder
from dcet.training.network.audio_encoder import AudioEncoder, sums
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import encoder_run
from dcet.training.saved.checkpoint import MAX_TOKENS, CheckpointError
from dcet.training.saved.encoder_run import EncoderRun
from dcet.training.saved.smaller_encoder import TextConfig, smaller_encoder
from tests.tiny_senses import SHAPE
from tests.tiny_training import VOCABULARY, Killed, KillIn, Quiet, quiet, wordpiece

CORPORA = {"text": ["meld"], "audio": ["crema_d", "ravdess"], "face": ["ferplus"]}


def config(modality: str, data: Path, bert: Path, **changes: Any) -> FitEncoderConfig:
    """A run of a second."""
    shape = {"encoder": str(bert)} if modality == "text" else SHAPE
    options: dict[str, Any] = {
        "shape": shape,
        "data": str(data),
        "corpora": CORPORA[modality],
        "epochs": 3,
        "batch": 12,
        "judge_every": 2,
        "licences": {"corpus": "CC0"},
    }
    return FitEncoderConfig.of(modality, **(options | changes))


def files(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and "resume" not in path.parts
    }


@pytest.mark.parametrize("modality", CORPORA)
def test_a_killed_run_ends_as_an_unbroken_one(
    data: Path, bert: Path, encoders: dict[str, Path], tmp_path: Path, modality: str
) -> None:
    wanted = config(modality, data, bert)
    with pytest.raises(Killed):
        fit_encoder(wanted, tmp_path / "run", KillIn(2))
    figures = fit_encoder(wanted, tmp_path / "run", quiet)
    assert files(tmp_path / "run") == files(encoders[modality])
    assert fit_encoder(wanted, tmp_path / "run", quiet) == figures  # finished: nothing is done
    with pytest.raises(ConfigError, match="begun with another batch"):
        fit_encoder(config(modality, data, bert, batch=6), tmp_path / "run", quiet)


@pytest.mark.parametrize("modality", CORPORA)
def test_a_run_holds_what_it_says(encoders: dict[str, Path], modality: str) -> None:
    run, checkpoint = encoders[modality], encoders[modality] / "checkpoint"
    loaded = encoder_run.load(run)
    assert (loaded.modality, loaded.licences) == (modality, {"corpus": "CC0"})
    assert not loaded.model.training
    found = {str(path.relative_to(checkpoint)) for path in checkpoint.rglob("*") if path.is_file()}
    of_text = {"tokenizer.json", "encoder/config.json"} if modality == "text" else set()
    assert found == {"config.json", "model.safetensors", "metrics.json"} | of_text
    weights = safetensors.torch.load_file(checkpoint / "model.safetensors")
    assert {value.dtype for value in weights.values()} <= {torch.float16, torch.int64}
    log = [
        json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [line["epoch"] for line in log] == [1, 2, 3]
    judged = [set(CORPORA[modality]) <= line.keys() for line in log]
    assert judged == [False, True, True]
    last = {corpus: log[-1][corpus] for corpus in CORPORA[modality]}
    assert (
        json.loads((checkpoint / "metrics.json").read_text(encoding="utf-8"))
        == last
        == loaded.metrics
    )


@pytest.mark.parametrize(("modality", "epochs"), [("text", 6), ("audio", 12), ("face", 30)])
def test_training_learns_what_there_is_to_learn(
    data: Path, bert: Path, tmp_path: Path, modality: str, epochs: int
) -> None:
    """Every word, band and bar names its emotion."""
    corpus = CORPORA[modality][0]
    wanted = config(
        modality,
        data,
        bert,
        corpora=[corpus],
        epochs=epochs,
        batch=7,
        judge_every=epochs,
        learning_rate=1e-2,
        head_learning_rate=1e-2,
        weight_decay=0.0,
        average=0.5,
        mixup=0.0,
    )
    assert fit_encoder(wanted, tmp_path / "run", quiet)[corpus]["uar"] > 0.4  # guessing: 0.17


def test_the_usual_voice_is_that_of_the_training_split(
    data: Path, encoders: dict[str, Path]
) -> None:
    model = encoder_run.load(encoders["audio"]).model
    assert isinstance(model, AudioEncoder)
    heard = torch.cat([sums(read_speech(c, data / c, "train").level) for c in CORPORA["audio"]])
    ravdess = sums(read_speech("ravdess", data / "ravdess", "train").level)  # heard twice
    frames, total, _ = heard.sum(dim=0) + ravdess.sum(dim=0)
    assert torch.allclose(model.usual_mean, total / frames, atol=1e-3)


def test_the_wrong_corpus_is_named(data: Path, bert: Path, tmp_path: Path) -> None:
    for changes, message in (
        ({"corpora": ["ferplus"]}, "--corpus ferplus: expected one of audio, got one of face"),
        ({"corpora": []}, "at least one --corpus"),
        ({"epochs": 0}, "at least 1"),
        ({"nonesuch": 1}, "nonesuch"),
        ({"shape": {"depth": 3}}, "depth"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit_encoder(config("audio", data, bert, **changes), tmp_path / "run", quiet)
    with pytest.raises(DataError, match=r"crema_d/labels\.csv|labels\.csv"):
        fit_encoder(config("audio", tmp_path, bert), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("modality", CORPORA)
def test_all_data_is_read_before_the_first_epoch(
    data: Path, bert: Path, tmp_path: Path, modality: str
) -> None:
    """The dev split once, not at every judging."""
    own = Path(shutil.copytree(data, tmp_path / "data"))

    class LoseData(Quiet):
        def advance(self, done: int, total: int, message: str) -> None:
            shutil.rmtree(own, ignore_errors=True)

    wanted = config(modality, own, bert, judge_every=1)
    figures = fit_encoder(wanted, tmp_path / "run", LoseData())
    assert set(figures) == set(CORPORA[modality])


def test_a_broken_dev_split_is_found_before_the_first_epoch(data: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(data, tmp_path / "data"))
    (own / "ravdess" / "3-0.flac").write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"3-0\.flac"):
        fit_encoder(config("audio", own, tmp_path), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def break_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"format": 1, "modality": "aud', encoding="utf-8")


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8"
    )


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut config": (break_json, "not an encoder"),
    "another format": (lambda f: edit(f, format=9), "format 9, .* reads 1"),
    "another modality": (lambda f: edit(f, modality="smell"), "got 'smell'"),
    "another shape": (lambda f: edit(f, shape={**SHAPE, "width": 32}), "weights and config"),
    "unknown shape": (lambda f: edit(f, shape={"depth": 1}), "depth"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "not an encoder"),
    "cut weights": (
        lambda f: (f / "model.safetensors").write_bytes(b"\x10" * 99),
        "not an encoder",
    ),
    "no metrics": (lambda f: (f / "metrics.json").unlink(), r"metrics\.json"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_encoder_is_named(encoders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    loaded = encoder_run.load(encoders["audio"])
    folder = tmp_path / "it"
    encoder_run.save(folder, loaded)
    spoil, message = BROKEN[kind]
    spoil(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        encoder_run.load(folder)
    assert str(folder) in str(caught.value)


def test_saving_again_gives_the_same_bytes(encoders: dict[str, Path], tmp_path: Path) -> None:
    for modality, run in encoders.items():
        encoder_run.save(tmp_path / modality, encoder_run.load(run))
        assert files(tmp_path / modality) == files(run / "checkpoint")


def test_some_layers_and_words_and_positions_are_kept(encoders: dict[str, Path]) -> None:
    loaded: EncoderRun = encoder_run.load(encoders["text"])
    assert isinstance(loaded.model, TextClassifier)
    assert loaded.tokenizer is not None
    whole = loaded.model.text.backbone
    small, tokenizer = smaller_encoder(
        TextConfig(layers=[1], vocabulary=75), whole, loaded.tokenizer, ["so happy"]
    )
    assert tokenizer.get_vocab_size() == 75
    states = small.state_dict(), whole.state_dict()
    kept = "encoder.layer.{}.output.dense.weight"
    assert torch.equal(states[0][kept.format(0)], states[1][kept.format(1)])
    assert kept.format(1) not in states[0]
    assert small.config.num_hidden_layers == 1
    positions = "embeddings.position_embeddings.weight"
    assert torch.equal(states[0][positions], states[1][positions][:128])
    ids = torch.tensor([tokenizer.encode("so happy").ids])
    assert torch.isfinite(small(input_ids=ids).last_hidden_state).all()
    assert whole.config.num_hidden_layers == 2  # the teacher stays whole
    for layers in ([], [2], [1, 0], [0, 0]):
        with pytest.raises(ConfigError, match="layers: expected some of 0 to 1"):
            smaller_encoder(TextConfig(layers=layers), whole, loaded.tokenizer, [])


def test_mpnet_says_the_same_of_the_longest_text_without_the_positions_that_none_reaches() -> None:
    """Its first position comes after that of padding."""
    torch.manual_seed(0)
    config = MPNetConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=200,
    )
    whole = MPNetModel(config).eval()
    small, _ = smaller_encoder(TextConfig(), whole, wordpiece(), [])
    assert small.state_dict()["embeddings.position_embeddings.weight"].shape == (130, 24)
    ids = torch.arange(5, 5 + MAX_TOKENS)[None] % len(VOCABULARY)
    assert ids.shape == (1, 128)
    with torch.inference_mode():
        states = [network(ids.clamp_min(2)).last_hidden_state for network in (small, whole)]
    assert torch.equal(*states)
