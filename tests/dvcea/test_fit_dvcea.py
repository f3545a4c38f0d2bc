"""Fusion and memory from features: what can be learned is, and the bundle takes such features."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dcet.data.dvcea import Dvcea, DvceaUtterance
from dcet.dvcea.annotations import read_annotations
from dcet.dvcea.build import Build
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.writer import write_dvcea
from dcet.export.exporter import Exporter
from dcet.runtime import Bundle, Conversation, Features
from dcet.targets import load_target
from dcet.training.cli import main
from dcet.training.dialogue.feature_split import FeatureSplit, only, some_hidden
from dcet.training.dialogue.fit_dvcea import FitDvceaConfig, fit_dvcea
from dcet.training.network.model import ModelConfig
from dcet.training.saved import checkpoint
from dcet.training.saved.text_encoders import load_text
from dcet.training.saved.weights import weights_sha256
from tests.dvcea.test_annotations import MELD, table
from tests.pretend_device import PretendDevice, same_as_on_the_cpu
from tests.tiny_dvcea import ABOUT, utterances
from tests.tiny_training import TINY, quiet

WIDTHS = {"visual": 9, "audio": 8, "text": 24}


def in_splits(made: Iterator[DvceaUtterance]) -> list[DvceaUtterance]:
    return sorted(made, key=lambda said: said.split != "train")


@pytest.fixture(scope="module")
def features(config: BuildConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in which the emotion can be heard and seen, and text says nothing."""
    backbone, *_ = load_text(config.text_encoder, "text_encoder")
    row = {**ABOUT.encoders["text"], "sha256": weights_sha256(backbone)}
    about = dataclasses.replace(ABOUT, widths=WIDTHS, encoders={**ABOUT.encoders, "text": row})
    folder = tmp_path_factory.mktemp("features") / "set"
    write_dvcea(folder, in_splits(utterances(160, widths=WIDTHS)), about)
    return folder


def settings(dvcea: Path, config: BuildConfig, **changes: Any) -> FitDvceaConfig:
    options: dict[str, Any] = {
        "dvcea": str(dvcea),
        "text_encoder": config.text_encoder,
        "epochs": 12,
        "dialogues_per_batch": 6,
        "learning_rate": 5e-3,
        "model": TINY,
    }
    return FitDvceaConfig(**options | changes)


def fit(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["fit", *map(str, arguments)])


def test_what_can_be_heard_and_seen_is_learned(
    features: Path, config: BuildConfig, tmp_path: Path
) -> None:
    figures = fit_dvcea(settings(features, config), tmp_path / "run", quiet)
    assert set(figures) == {"dev", "dev_memory_reset", "dev_text", "dev_audio", "dev_face"}
    assert figures["dev"]["n"] == 40
    assert figures["dev"]["weighted_f1"] > 0.8
    assert figures["dev_audio"]["weighted_f1"] > figures["dev_text"]["weighted_f1"] + 0.3
    kept = checkpoint.load(tmp_path / "run")
    shape = kept.model.config
    assert (shape.text_width, shape.audio_width, shape.face_width) == (24, 8, 9)
    assert kept.trained == ("text", "audio", "face")
    assert kept.licences["videos"] == "CC0-1.0"
    assert (kept.model.audio, kept.model.face) == (None, None)
    again = fit_dvcea(settings(features, config), tmp_path / "run", quiet)  # done already
    assert again["dev"]["weighted_f1"] == figures["dev"]["weighted_f1"]


def test_features_are_learned_on_a_device_as_on_the_cpu(
    features: Path, config: BuildConfig, pretend_device: PretendDevice, tmp_path: Path
) -> None:
    once = settings(features, config, epochs=1)
    same_as_on_the_cpu(
        lambda run, where: fit_dvcea(once, run, quiet, where), pretend_device, tmp_path
    )


def test_turns_without_labels_are_context_alone(config: BuildConfig, tmp_path: Path) -> None:
    made = [
        dataclasses.replace(
            said,
            emotion=None if number % 3 == 0 else said.emotion,
            sentiment=None if number % 2 else said.sentiment,
        )
        for number, said in enumerate(utterances(32, widths=WIDTHS))
    ]
    write_dvcea(tmp_path / "set", in_splits(iter(made)), dataclasses.replace(ABOUT, widths=WIDTHS))
    split = FeatureSplit.read(Dvcea.open(tmp_path / "set"), "dev", ModelConfig())
    labelled = sum(said.emotion is not None for said in made if said.split == "dev")
    assert sum(len(dialogue.turns) for dialogue in split.dialogues) == labelled < 8
    batch, inputs = split.batch([0, 1])
    assert len(batch.emotion) == len(inputs.text) == 8


def test_hiding_leaves_something_of_every_turn(features: Path) -> None:
    split = FeatureSplit.read(Dvcea.open(features), "train", ModelConfig())
    _, inputs = split.batch(range(10))
    before = inputs.modality_mask
    left = some_hidden(inputs, 0.9).modality_mask
    assert (left <= before).all()
    assert left.sum() < before.sum()
    assert (left.sum(dim=1) >= 1).all()
    heard = only(inputs, before.new_tensor([[0.0, 1.0, 0.0]]))
    assert heard.face_mask.sum() == 0
    assert heard.audio_mask.sum() == inputs.audio_mask.sum()


def test_another_text_encoder_is_refused(
    features: Path, config: BuildConfig, bert_with_other_weights: Path, tmp_path: Path
) -> None:
    arguments = ("--dvcea", features, "--text-encoder", bert_with_other_weights)
    result = fit(*arguments, "--output", tmp_path / "run")
    assert result.exit_code == 2
    assert "which made the text features of" in result.stderr


@pytest.fixture
def bert_with_other_weights(config: BuildConfig, tmp_path: Path) -> Path:
    from transformers import BertModel

    folder = shutil.copytree(config.text_encoder, tmp_path / "other")
    model = BertModel.from_pretrained(folder)
    model.embeddings.word_embeddings.weight.data.mul_(1.1)
    model.save_pretrained(folder)
    return Path(folder)


def test_what_the_set_lacks_is_named(features: Path, config: BuildConfig, tmp_path: Path) -> None:
    only_train = [said for said in utterances(32, widths=WIDTHS) if said.split == "train"]
    about = json.loads((features / "manifest.json").read_text(encoding="utf-8"))
    row = about["encoders"]
    write_dvcea(
        tmp_path / "train",
        only_train,
        dataclasses.replace(ABOUT, widths=WIDTHS, encoders=row),
    )
    arguments = ["--text-encoder", config.text_encoder, "--output", tmp_path / "run"]
    assert (
        "split 'dev': expected one of train"
        in fit("--dvcea", tmp_path / "train", *arguments).stderr
    )
    first = {**row, "text": {**row["text"], "pooling": "first"}}
    write_dvcea(
        tmp_path / "first",
        only_train,
        dataclasses.replace(ABOUT, widths=WIDTHS, encoders=first),
    )
    assert "text_pooling mean" in fit("--dvcea", tmp_path / "first", *arguments).stderr
    both = fit("--dvcea", features, "--meld", tmp_path, *arguments)
    assert "expected one of --meld and --dvcea" in both.stderr
    assert "expected one of" in fit(*arguments).stderr


def test_from_video_to_an_estimate(data: Path, config: BuildConfig, tmp_path: Path) -> None:
    """Two talking heads are cut into turns, of which a model is trained that answers features."""
    emotions = ("joy", "anger", "neutral", "sadness")
    rows = [
        (f"we are {emotion}", name, emotion, "", head, turn, f"latentsync_demo{head}.mp4",
         f"{1.5 * turn}", f"{1.5 * turn + 1.2}", split)
        for split, head, name in (("train", 1, "Ann"), ("dev", 2, "Bo"))
        for turn, emotion in enumerate(emotions)
    ]  # fmt: skip
    columns = (*MELD, "File", "Start_s", "End_s", "Split")
    found = read_annotations([table(tmp_path / "rows.csv", columns, *rows)], data / "media")
    Build(data / "media", found, tmp_path / "set", config).run(quiet)
    fit_dvcea(settings(tmp_path / "set", config, epochs=2), tmp_path / "run", quiet)
    trained = checkpoint.load(tmp_path / "run")
    Exporter(trained, "talk").write_verified(load_target("cpu"), tmp_path / "talk.dcet")
    conversation = Conversation(Bundle.open(tmp_path / "talk.dcet"))
    said = Dvcea.open(tmp_path / "set")[0]
    assert said.audio is not None
    assert said.visual is not None
    assert said.text is not None
    most = TINY.audio_length
    given = [Features(np.array(part[:most], np.float32)) for part in (said.audio, said.visual)]
    whole = conversation.turn("Ann", said.text, *given)
    assert all(whole.modality_weights[name] > 0 for name in ("text", "audio", "face"))
    unheard = Conversation(Bundle.open(tmp_path / "talk.dcet")).turn("Ann", said.text)
    assert unheard.modality_weights["audio"] == 0
    assert whole.probabilities != unheard.probabilities
